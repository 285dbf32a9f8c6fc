//! Mode C by hand, as fast as it goes: receives and drops, sends, or sends back what arrives, and prints the rates.
//!
//! ```console
//! # cargo run --release --example manual_packet_pump -- -m rxdrop -i eth0
//! # cargo run --release --example manual_packet_pump -- -m txonly -i eth0 -s 64 -d 10
//! # cargo run --release --example manual_packet_pump -- -m l2fwd -i eth0 -q 1 --zero-copy
//! ```
//!
//! rxdrop and l2fwd take everything that reaches the queue, so try them on an interface that you are not logged in through.

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fluxcap::proto::{EtherType, Ethernet, MacAddr};
use fluxcap::{
    BindMode, BusyPoll, FluxBuilder, FluxError, FluxRaw, Interest, PacketBatch, Verdict, XdpMode,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

const USAGE: &str = "\
usage: manual_packet_pump -m MODE -i INTERFACE [OPTION...]
Receives, sends or forwards packets as fast as it goes.

  -m, --mode MODE        rxdrop: receive and drop; txonly: send; l2fwd: send back what is received
  -i, --interface NAME   the interface
  -q, --queue NUMBER     the queue to bind to (0)
  -b, --batch NUMBER     packets handled together, 1 to 1024 (64)
  -s, --size BYTES       size of the packets to send, from 60 (64)
  -D, --destination MAC  where to send them (ff:ff:ff:ff:ff:ff)
  -d, --duration SECONDS how long (until a signal comes)
  -n, --packets NUMBER   how many packets (no limit)
  -B, --busy-poll        poll the driver instead of waiting for interrupts
      --copy             copy mode
      --zero-copy        zero-copy, or nothing
      --native           the XDP program in the driver, or nothing
      --generic          the XDP program in the network stack
  -h, --help             this text";

/// An ethertype that is free for experiments (IEEE 802): no network stack knows it.
const EXPERIMENTAL: EtherType = EtherType(0x88b5);

struct Pump {
    raw: FluxRaw,
    bytes_seen: u64,
    /// What txonly sends.
    frame: Vec<u8>,
    unsent: PacketBatch,
}

impl Pump {
    /// Looks at packets in place and gives their frames back.
    fn rxdrop(&mut self, max: u32) -> Result<u32, FluxError> {
        let bytes = &mut self.bytes_seen;
        Ok(self
            .raw
            .inspect(max, |packet| *bytes += packet.len() as u64))
    }

    /// Makes packets and sends them.
    fn txonly(&mut self, max: u32) -> Result<u32, FluxError> {
        while self.unsent.len() < max as usize
            && let Some(mut packet) = self.raw.alloc()
        {
            packet.copy_from(&self.frame)?;
            self.unsent.push(packet).expect("less than `max`");
        }
        // Packets that the ring has no room for stay, for the next turn.
        let sent = self.raw.send(&mut self.unsent)?;
        self.raw.wake_tx()?;
        self.raw.reap();
        Ok(sent)
    }

    /// Sends packets back to where they came from, each in the frame it came in.
    fn l2fwd(&mut self, max: u32) -> Result<u32, FluxError> {
        self.raw.refill();
        let count = self.raw.forward(max, |packet| {
            let Ok((ethernet, _)) = Ethernet::parse_mut(packet.data_mut()) else {
                return Verdict::Recycle;
            };
            ethernet.swap_addresses();
            Verdict::Send
        });
        self.raw.wake_tx()?;
        Ok(count)
    }

    /// Turns the loop until `stop` is set, time is over or enough packets have passed.
    fn run(&mut self, options: &Options, stop: &AtomicBool) -> Result<(), FluxError> {
        let start = Instant::now();
        let (mut handled, mut printed, mut last) = (0, start, (0, 0));
        while !stop.load(Ordering::Relaxed)
            && start.elapsed() < options.duration
            && handled < options.packets
        {
            let left = options.packets - handled;
            let max = u32::try_from(left).map_or(options.batch, |left| left.min(options.batch));
            let (count, interest) = match options.mode {
                Mode::RxDrop => (self.rxdrop(max)?, Interest::Receive),
                Mode::TxOnly => (self.txonly(max)?, Interest::Send),
                Mode::L2Fwd => (self.l2fwd(max)?, Interest::Receive),
            };
            handled += u64::from(count);
            if count == 0 && !options.busy_poll {
                // A signal may come just before the wait: so it is short.
                self.raw.wait(interest, Some(Duration::from_millis(100)))?;
            }
            if interest == Interest::Receive {
                // With busy polling this is what polls the driver.
                self.raw.wake_rx()?;
            }
            if printed.elapsed() >= Duration::from_secs(1) {
                let totals = self.raw.totals();
                print_rates("now", last, totals, printed.elapsed());
                (printed, last) = (Instant::now(), totals);
            }
        }
        let elapsed = start.elapsed();
        self.unsent.clear();
        self.raw.flush(Duration::from_secs(1))?;

        let totals = self.raw.totals();
        print_rates("average", (0, 0), totals, elapsed);
        println!(
            "received {}, sent {} in {:.2} s; looked at {} bytes",
            totals.0,
            totals.1,
            elapsed.as_secs_f64(),
            self.bytes_seen
        );
        let kernel = self.raw.statistics()?;
        println!(
            "kernel: dropped {}, RX ring full {}, fill ring empty {}",
            kernel.rx_dropped, kernel.rx_ring_full, kernel.rx_fill_ring_empty_descs
        );
        Ok(())
    }
}

fn print_rates(name: &str, from: (u64, u64), to: (u64, u64), time: Duration) {
    let [rx, tx] = [to.0 - from.0, to.1 - from.1].map(|count| count as f64 / time.as_secs_f64());
    println!("{name:<8} rx {rx:>12.0} packets/s   tx {tx:>12.0} packets/s");
    let _ = io::stdout().flush();
}

fn pump(options: &Options) -> Result<(), Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&stop))?;
    flag::register(SIGTERM, Arc::clone(&stop))?;

    let mut builder = FluxBuilder::new(&options.interface)
        .queue(options.queue)
        .bind_mode(options.bind_mode);
    builder = match options.mode {
        Mode::TxOnly => builder.load_xdp(false),
        Mode::RxDrop | Mode::L2Fwd => builder.xdp_mode(options.xdp_mode),
    };
    if options.busy_poll {
        // Each wake-up polls the driver.
        builder = builder.need_wakeup(false).busy_poll(BusyPoll {
            budget: options.batch,
            ..BusyPoll::default()
        });
    }
    let raw = builder.build()?;
    println!("{}", raw.report());
    io::stdout().flush()?;

    let longest = raw.umem().geometry().packet_capacity();
    let longest = longest.min(raw.interface().mtu + Ethernet::LEN as u32) as usize;
    if options.size > longest {
        return Err(format!("packets of more than {longest} bytes do not pass here").into());
    }
    let mut frame: Vec<u8> = (0..options.size).map(|byte| byte as u8).collect();
    let (ethernet, _) = Ethernet::parse_mut(&mut frame)?;
    ethernet.set_destination(options.destination);
    ethernet.set_source(raw.interface().mac.unwrap_or(options.destination));
    ethernet.set_ether_type(EXPERIMENTAL);

    let mut pump = Pump {
        raw,
        bytes_seen: 0,
        frame,
        unsent: PacketBatch::with_capacity(options.batch as usize),
    };
    let result = pump.run(options, &stop);
    let rings = pump.raw.debug_rings();
    println!("{rings}");
    result?;
    if !rings.is_conserved() {
        return Err("the frames do not add up".into());
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Mode {
    RxDrop,
    TxOnly,
    L2Fwd,
}

struct Options {
    mode: Mode,
    interface: String,
    queue: u32,
    batch: u32,
    size: usize,
    destination: MacAddr,
    duration: Duration,
    packets: u64,
    busy_poll: bool,
    bind_mode: BindMode,
    xdp_mode: XdpMode,
}

/// Reads the command line; `None` when it asks for help.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let (mut mode, mut interface, mut busy_poll) = (None, None, false);
    let (mut queue, mut batch, mut size) = (0, 64, 64);
    let (mut destination, mut seconds, mut packets) = (MacAddr::BROADCAST, 0, 0);
    let (mut bind_mode, mut xdp_mode) = (BindMode::Auto, XdpMode::Auto);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "-m" | "--mode" => {
                mode = Some(match value()?.as_str() {
                    "rxdrop" => Mode::RxDrop,
                    "txonly" => Mode::TxOnly,
                    "l2fwd" => Mode::L2Fwd,
                    other => return Err(format!("there is no mode '{other}'")),
                });
            }
            "-i" | "--interface" => interface = Some(value()?),
            "-q" | "--queue" => queue = read(&word, &value()?)?,
            "-b" | "--batch" => batch = read(&word, &value()?)?,
            "-s" | "--size" => size = read(&word, &value()?)?,
            "-D" | "--destination" => destination = read(&word, &value()?)?,
            "-d" | "--duration" => seconds = read(&word, &value()?)?,
            "-n" | "--packets" => packets = read(&word, &value()?)?,
            "-B" | "--busy-poll" => busy_poll = true,
            "--copy" => bind_mode = BindMode::Copy,
            "--zero-copy" => bind_mode = BindMode::ZeroCopy,
            "--native" => xdp_mode = XdpMode::Native,
            "--generic" => xdp_mode = XdpMode::Generic,
            "-h" | "--help" => return Ok(None),
            _ => return Err(format!("what is '{word}'?")),
        }
    }
    if !(1..=1024).contains(&batch) || !(60..=65_536).contains(&size) {
        return Err("a batch has 1 to 1024 packets, a packet 60 to 65536 bytes".into());
    }
    Ok(Some(Options {
        mode: mode.ok_or("a mode is needed: -m rxdrop, txonly or l2fwd")?,
        interface: interface.ok_or("an interface is needed: -i INTERFACE")?,
        queue,
        batch,
        size,
        destination,
        duration: Duration::from_secs(if seconds == 0 { u64::MAX } else { seconds }),
        packets: if packets == 0 { u64::MAX } else { packets },
        busy_poll,
        bind_mode,
        xdp_mode,
    }))
}

fn read<T: FromStr>(word: &str, text: &str) -> Result<T, String> {
    let value = text.parse();
    value.map_err(|_| format!("{word} cannot be '{text}'"))
}

fn main() -> ExitCode {
    let result = match parse(env::args().skip(1)) {
        Ok(Some(options)) => pump(&options),
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(mistake) => {
            eprintln!("manual_packet_pump: {mistake}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual_packet_pump: {error}");
            ExitCode::FAILURE
        }
    }
}

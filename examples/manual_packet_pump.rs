//! Receives and drops packets, sends packets, or sends back what it receives, as fast as possible, and prints the rates (mode C).
//!
//! ```console
//! # cargo run --release --example manual_packet_pump -- -m rxdrop -i veth0
//! # cargo run --release --example manual_packet_pump -- -m txonly -i veth0 -s 64 -d 10
//! # cargo run --release --example manual_packet_pump -- -m l2fwd -i veth0 -q 1 --zero-copy
//! $ cargo run --release --example manual_packet_pump -- -m l2fwd --sim
//! ```
//!
//! To receive it opens a socket on each queue of the interface, or on the one that `-q` names; each has a thread. It takes all packets of
//! its queues: do not use an interface that you are logged in through. `ip link add veth0 type veth peer name veth1`, and
//! `ip link set … up` for both, make one to try it on.
//! `--sim` needs no root and no network: a simulated link brings packets without end, and takes what is sent.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::proto::{EtherType, Ethernet, MacAddr};
use fluxcap::sim::{Nic, Playback, Running, Speed};
use fluxcap::{
    BindMode, BusyPoll, ErrorKind, FluxBuilder, FluxError, FluxRaw, Interest, PacketBatch,
    RingsState, Verdict, XdpMode,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use common::{BindOptions, CommandLine, Failure};
use simulate::LinkOptions;

mod common;
mod simulate;

const USAGE: &str = "\
usage: manual_packet_pump -m MODE -i INTERFACE [OPTION...]
       manual_packet_pump -m MODE --sim [--pcap FILE] [--record FILE] [OPTION...]
Receives, sends or forwards packets as fast as possible.

  -m, --mode MODE        rxdrop: receive and drop; txonly: send; l2fwd: send back what is received
  -i, --interface NAME   the interface
  -q, --queue NUMBER     receive on this queue only (default: all), or send from it (default: 0)
  -b, --batch NUMBER     packets handled together, 1 to 1024 (64)
  -s, --size BYTES       size of the packets to send, from 60 (64)
  -D, --destination MAC  where to send them (ff:ff:ff:ff:ff:ff)
  -d, --duration SECONDS stop after this time (run until a signal comes)
  -n, --packets NUMBER   how many packets, of each queue (no limit)
  -B, --busy-poll        poll the driver instead of waiting for interrupts
      --copy             use copy mode
      --zero-copy        require zero-copy
      --native           require the XDP program in the driver
      --generic          run the XDP program in the network stack
      --sim              use a simulated link, which brings the packets that txonly sends; needs no root
      --pcap FILE        replay a capture file into the simulated link: once, or with -d or -n without end
      --record FILE      write what the simulated link carries into a capture file; with -d, -n or --pcap
      --mac MAC          the Ethernet address of the simulated link (02:00:00:00:00:01)
  -h, --help             this text

It takes every packet of its queues: do not use an interface that you are logged in through.";

/// An EtherType for local experiments (IEEE 802): no network stack knows it.
const EXPERIMENTAL: EtherType = EtherType(0x88b5);

/// Handles the packets of one queue.
struct Pump {
    raw: FluxRaw,
    /// Printed before its lines: the number of the queue, if there are several.
    label: String,
    /// A simulated card: the loop ends after one replay of its capture file.
    replay: Option<Nic>,
    bytes_seen: u64,
    /// The frame that txonly sends.
    frame: Vec<u8>,
    unsent: PacketBatch,
}

impl Pump {
    /// Reads packets in place, and recycles their frames.
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
        // Packets that the TX ring has no room for stay for the next turn.
        let sent = self.raw.send(&mut self.unsent)?;
        unless_down(self.raw.wake_tx())?;
        self.raw.reap();
        Ok(sent)
    }

    /// Sends packets back to their senders, in place.
    fn l2fwd(&mut self, max: u32) -> Result<u32, FluxError> {
        self.raw.refill();
        let count = self.raw.forward(max, |packet| {
            let Ok((ethernet, _)) = Ethernet::parse_mut(packet.data_mut()) else {
                return Verdict::Recycle;
            };
            ethernet.swap_addresses();
            Verdict::Send
        });
        unless_down(self.raw.wake_tx())?;
        Ok(count)
    }

    /// Runs until `stop` is set, the time is over, or enough packets have passed.
    fn run(&mut self, options: &Options, stop: &AtomicBool) -> Result<(), FluxError> {
        let start = Instant::now();
        let (mut handled, mut printed, mut last) = (0, start, (0, 0));
        let mut over = false;
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
            if count == 0 && over {
                break;
            }
            if count == 0 && self.replay.as_ref().is_some_and(|nic| !nic.is_playing()) {
                // After one more turn, for packets that came meanwhile.
                over = true;
            } else if count == 0 && !options.busy_poll {
                // A signal may come just before the wait, so the wait is short.
                unless_down(self.raw.wait(interest, Some(Duration::from_millis(100))))?;
            }
            if interest == Interest::Receive {
                // With busy polling, this polls the driver.
                unless_down(self.raw.wake_rx())?;
            }
            if printed.elapsed() >= Duration::from_secs(1) {
                let totals = self.raw.totals();
                self.print_rates("now", last, totals, printed.elapsed());
                (printed, last) = (Instant::now(), totals);
            }
        }
        let elapsed = start.elapsed();
        self.unsent.clear();
        unless_down(self.raw.flush(Duration::from_secs(1)))?;

        let totals = self.raw.totals();
        self.print_rates("average", (0, 0), totals, elapsed);
        let kernel = self.raw.statistics()?;
        println!(
            "{}received {}, sent {} in {:.2} s; looked at {} bytes\n\
             kernel: dropped {}, RX ring full {}, fill ring empty {}",
            self.label,
            totals.0,
            totals.1,
            elapsed.as_secs_f64(),
            self.bytes_seen,
            kernel.rx_dropped,
            kernel.rx_ring_full,
            kernel.rx_fill_ring_empty_descs
        );
        Ok(())
    }

    fn print_rates(&self, name: &str, from: (u64, u64), to: (u64, u64), time: Duration) {
        let [rx, tx] =
            [to.0 - from.0, to.1 - from.1].map(|count| count as f64 / time.as_secs_f64());
        println!(
            "{}{name:<8} rx {rx:>12.0} packets/s   tx {tx:>12.0} packets/s",
            self.label
        );
        let _ = io::stdout().flush();
    }
}

/// Ignores that the link is down: packets stay in the TX ring until it is up again.
fn unless_down<T: Default>(result: Result<T, FluxError>) -> Result<T, FluxError> {
    match result {
        Err(error) if error.kind() == ErrorKind::Down => {
            thread::sleep(Duration::from_millis(10));
            Ok(T::default())
        }
        other => other,
    }
}

/// Opens a socket on each queue of the interface, or on one: to send, or if `-q` names it.
fn open(options: &Options) -> Result<(Vec<FluxRaw>, Option<Nic>), Failure> {
    let bind = &options.bind;
    let (link, nic) = options.link_options.open(bind.first_queue(), false)?;
    let mut builder = FluxBuilder::new(&link).bind_mode(bind.bind_mode);
    builder = match options.mode {
        Mode::TxOnly => builder.send_only(),
        Mode::RxDrop | Mode::L2Fwd => builder.xdp_mode(bind.xdp_mode),
    };
    if options.busy_poll {
        // Every wake-up polls the driver.
        builder = builder.need_wakeup(false).busy_poll(BusyPoll {
            budget: options.batch,
            ..BusyPoll::default()
        });
    }
    let all = bind.queue.is_none() && nic.is_none() && !matches!(options.mode, Mode::TxOnly);
    let sockets = if all {
        builder.build_queues(..)?
    } else {
        vec![builder.queue(bind.first_queue()).build()?]
    };
    Ok((sockets, nic))
}

fn pump(options: Options) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&stop))?;
    flag::register(SIGTERM, Arc::clone(&stop))?;

    let (sockets, nic) = open(&options)?;
    let raw = &sockets[0];
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

    let _running = nic
        .as_ref()
        .map(|nic| simulate_traffic(nic, &options, &frame))
        .transpose()?;
    let count = sockets.len();
    let mut pumps: Vec<Pump> = (0..)
        .zip(sockets)
        .map(|(queue, raw): (u32, FluxRaw)| Pump {
            raw,
            label: BindOptions::label(queue, count),
            replay: nic.clone().filter(|_| options.replays_once()),
            bytes_seen: 0,
            frame: frame.clone(),
            unsent: PacketBatch::with_capacity(options.batch as usize),
        })
        .collect();
    let results: Vec<_> = thread::scope(|scope| {
        let start = |pump| scope.spawn(|| run_or_stop_all(pump, &options, &stop));
        let threads: Vec<_> = pumps.iter_mut().map(start).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|result| result.expect("no thread panics"))
            .collect()
    });
    let rings: Vec<_> = pumps.iter().map(|pump| pump.raw.debug_rings()).collect();
    for rings in &rings {
        println!("{rings}");
    }
    results.into_iter().collect::<Result<(), _>>()?;
    if !rings.iter().all(RingsState::is_conserved) {
        return Err("the frames do not add up".into());
    }
    if let Some(nic) = nic {
        nic.end_recording()?;
    }
    Ok(())
}

/// When one queue fails, all end.
fn run_or_stop_all(pump: &mut Pump, options: &Options, stop: &AtomicBool) -> Result<(), FluxError> {
    let result = pump.run(options, stop);
    if result.is_err() {
        stop.store(true, Ordering::Relaxed);
    }
    result
}

/// Starts the traffic of the simulated link, a capture file or the frame of txonly, and a thread that moves the packets.
fn simulate_traffic(nic: &Nic, options: &Options, frame: &[u8]) -> Result<Running, FluxError> {
    let queue = options.bind.first_queue();
    match (&options.link_options.pcap, options.mode) {
        (_, Mode::TxOnly) => {}
        (Some(file), _) => {
            let times = if options.ends() { u64::MAX } else { 1 };
            simulate::replay(nic, file, queue, times)?;
        }
        (None, _) => {
            let playback = Playback::of([frame.to_vec()]).queue(queue);
            nic.play(playback.speed(Speed::Full).times(u64::MAX))?;
        }
    }
    nic.network().run()
}

#[derive(Clone, Copy)]
enum Mode {
    RxDrop,
    TxOnly,
    L2Fwd,
}

struct Options {
    mode: Mode,
    link_options: LinkOptions,
    bind: BindOptions,
    batch: u32,
    size: usize,
    destination: MacAddr,
    duration: Duration,
    packets: u64,
    busy_poll: bool,
}

impl Options {
    /// Whether the loop ends without a signal.
    fn ends(&self) -> bool {
        self.duration != Duration::MAX || self.packets != u64::MAX
    }

    fn replays_once(&self) -> bool {
        self.link_options.pcap.is_some() && !self.ends()
    }
}

/// Reads the command line; returns `None` if it asks for help.
fn parse(line: &mut CommandLine) -> Result<Option<Options>, String> {
    let (mut mode, mut link_options, mut busy_poll) = (None, LinkOptions::default(), false);
    let (mut bind, mut batch, mut size) = (BindOptions::default(), 64, 64);
    let (mut destination, mut seconds, mut packets) = (MacAddr::BROADCAST, 0, 0);
    while let Some(word) = line.next()? {
        match word.as_str() {
            "-m" | "--mode" => {
                mode = Some(match line.text()?.as_str() {
                    "rxdrop" => Mode::RxDrop,
                    "txonly" => Mode::TxOnly,
                    "l2fwd" => Mode::L2Fwd,
                    other => return Err(format!("there is no mode '{other}'")),
                });
            }
            "-b" | "--batch" => batch = line.number()?,
            "-s" | "--size" => size = line.number()?,
            "-D" | "--destination" => destination = line.parsed("MAC address")?,
            "-d" | "--duration" => seconds = line.number()?,
            "-n" | "--packets" => packets = line.number()?,
            "-B" | "--busy-poll" => busy_poll = true,
            "--zero-copy" => bind.bind_mode = BindMode::ZeroCopy,
            "--native" => bind.xdp_mode = XdpMode::Native,
            "-h" | "--help" => return Ok(None),
            _ if link_options.option(&word, line)? || bind.option(&word, line)? => {}
            _ => return Err(line.unknown()),
        }
    }
    link_options.check()?;
    if !(1..=1024).contains(&batch) || !(60..=65_536).contains(&size) {
        return Err("a batch has 1 to 1024 packets, a packet 60 to 65536 bytes".into());
    }
    let options = Options {
        mode: mode.ok_or("a mode is needed: -m rxdrop, txonly or l2fwd")?,
        link_options,
        bind,
        batch,
        size,
        destination,
        duration: match seconds {
            0 => Duration::MAX,
            seconds => Duration::from_secs(seconds),
        },
        packets: if packets == 0 { u64::MAX } else { packets },
        busy_poll,
    };
    let link_options = &options.link_options;
    if link_options.record.is_some() && link_options.pcap.is_none() && !options.ends() {
        return Err("--record without an end would fill the disk: add -d, -n or --pcap".into());
    }
    if link_options.pcap.is_some() && matches!(options.mode, Mode::TxOnly) {
        return Err("txonly receives nothing, so there is no use for --pcap".into());
    }
    Ok(Some(options))
}

fn main() -> ExitCode {
    common::run(USAGE, parse, pump)
}

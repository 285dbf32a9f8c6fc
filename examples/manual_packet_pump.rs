//! Mode C by hand: receives and drops, sends, or sends back what arrives, and prints packets per second.
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
use std::hint;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fluxcap::proto::{EtherType, Ethernet, MacAddr};
use fluxcap::{BindMode, FluxBuilder, FluxError, FluxRaw, Interest, PacketBatch, Verdict, XdpMode};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

const USAGE: &str = "\
usage: manual_packet_pump -m MODE -i INTERFACE [OPTION...]
Moves packets as fast as it can, and prints packets per second.

  -m, --mode MODE       rxdrop: receive and drop
                        txonly: send
                        l2fwd:  send back what arrives, with swapped addresses
  -i, --interface NAME  the interface
  -q, --queue NUMBER    the queue to bind to (0)
  -b, --batch NUMBER    packets handled at once (64)
  -s, --size BYTES      the length of the packets that txonly sends (60)
  -d, --duration SECS   end after so many seconds (0: on SIGINT or SIGTERM)
      --copy            copy mode, even where the driver has zero-copy
      --zero-copy       zero-copy mode, or an error
      --native          the XDP program in the driver, or an error
      --generic         the XDP program in the network stack, not in the driver
  -h, --help            this text";

/// How long to wait for packets before looking at clock and signals again.
const PAUSE: Duration = Duration::from_millis(100);

/// An ethertype that is free for experiments (IEEE 802): no network stack knows it.
const EXPERIMENTAL: EtherType = EtherType(0x88b5);

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    RxDrop,
    TxOnly,
    L2Fwd,
}

/// Looks at one byte of each packet and gives the frames back.
fn rxdrop(raw: &mut FluxRaw, batch: u32) -> Result<(), FluxError> {
    let count = raw.inspect(batch, |packet| {
        hint::black_box(packet.data().first());
    });
    if count == 0 {
        raw.refill();
        raw.wake_rx()?;
        raw.wait_rx(Some(PAUSE))?;
    }
    Ok(())
}

/// Fills the batch with copies of `frame` and sends as many as there is room for.
fn txonly(raw: &mut FluxRaw, batch: &mut PacketBatch, frame: &[u8]) -> Result<(), FluxError> {
    while batch.room() > 0
        && let Some(mut packet) = raw.alloc()
    {
        packet.copy_from(frame)?;
        batch
            .push(packet)
            .expect("the batch has room for one more packet");
    }
    // Packets that do not fit stay in the batch for the next time.
    let sent = raw.send(batch)?;
    raw.wake_tx()?;
    if sent == 0 {
        raw.wait(Interest::Send, Some(PAUSE))?;
        raw.reap();
    }
    Ok(())
}

/// Sends each packet back where it came from, in the frame it came in.
fn l2fwd(raw: &mut FluxRaw, batch: u32) -> Result<(), FluxError> {
    raw.refill();
    let count = raw.forward(batch, |packet| {
        match Ethernet::parse_mut(packet.data_mut()) {
            Ok((ethernet, _)) => {
                ethernet.swap_addresses();
                Verdict::Send
            }
            Err(_) => Verdict::Recycle,
        }
    });
    raw.wake_tx()?;
    if count == 0 {
        raw.wake_rx()?;
        raw.wait_rx(Some(PAUSE))?;
    }
    Ok(())
}

/// A broadcast frame of `size` bytes.
fn frame(size: usize, source: MacAddr) -> Result<Vec<u8>, String> {
    let mut frame = vec![0; size];
    let (ethernet, _) = Ethernet::parse_mut(&mut frame).map_err(|error| error.to_string())?;
    ethernet.set_destination(MacAddr::BROADCAST);
    ethernet.set_source(source);
    ethernet.set_ether_type(EXPERIMENTAL);
    Ok(frame)
}

/// Packets per second, every second and over all.
struct Meter {
    begin: Instant,
    last: Instant,
    seen: (u64, u64),
}

impl Meter {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            begin: now,
            last: now,
            seen: (0, 0),
        }
    }

    fn look(&mut self, raw: &FluxRaw) -> io::Result<()> {
        let passed = self.last.elapsed();
        if passed < Duration::from_secs(1) {
            return Ok(());
        }
        let (rx, tx) = raw.totals();
        let per_second = |count: u64| count as f64 / passed.as_secs_f64();
        println!(
            "{:4} s  rx {:>11.0} packets/s  tx {:>11.0} packets/s",
            self.begin.elapsed().as_secs(),
            per_second(rx - self.seen.0),
            per_second(tx - self.seen.1)
        );
        self.last = Instant::now();
        self.seen = (rx, tx);
        io::stdout().flush()
    }
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
    let mut raw = builder.build()?;
    println!("{}", raw.report());
    io::stdout().flush()?;

    let mac = raw
        .interface()
        .mac
        .unwrap_or(MacAddr([0x02, 0, 0, 0, 0, 1]));
    let frame = frame(options.size, mac)?;
    let mut batch = PacketBatch::with_capacity(options.batch as usize);
    let mut meter = Meter::new();
    while !stop.load(Ordering::Relaxed) && meter.begin.elapsed() < options.duration {
        match options.mode {
            Mode::RxDrop => rxdrop(&mut raw, options.batch),
            Mode::TxOnly => txonly(&mut raw, &mut batch, &frame),
            Mode::L2Fwd => l2fwd(&mut raw, options.batch),
        }?;
        meter.look(&raw)?;
    }
    let elapsed = meter.begin.elapsed().as_secs_f64();
    batch.clear();
    raw.flush(Duration::from_secs(1))?;
    summary(&raw, elapsed)?;
    if !raw.debug_rings().is_conserved() {
        return Err("the frames do not add up".into());
    }
    Ok(())
}

fn summary(raw: &FluxRaw, seconds: f64) -> Result<(), FluxError> {
    let (rx, tx) = raw.totals();
    println!(
        "{seconds:.1} s: received {rx} packets ({:.0}/s), sent {tx} packets ({:.0}/s)",
        rx as f64 / seconds,
        tx as f64 / seconds
    );
    let kernel = raw.statistics()?;
    println!(
        "kernel: dropped {}, RX ring full {}, fill ring empty {}, invalid descriptors {}",
        kernel.rx_dropped,
        kernel.rx_ring_full,
        kernel.rx_fill_ring_empty_descs,
        kernel.rx_invalid_descs + kernel.tx_invalid_descs
    );
    println!("{}", raw.debug_rings());
    Ok(())
}

struct Options {
    mode: Mode,
    interface: String,
    queue: u32,
    batch: u32,
    size: usize,
    duration: Duration,
    bind_mode: BindMode,
    xdp_mode: XdpMode,
}

/// Reads the command line; `None` when it asks for help.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let (mut mode, mut interface) = (None, None);
    let (mut queue, mut batch, mut size, mut seconds) = (0, 64, 60, 0);
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
            "-q" | "--queue" => queue = number(&word, &value()?)?,
            "-b" | "--batch" => batch = number(&word, &value()?)?,
            "-s" | "--size" => size = number(&word, &value()?)?,
            "-d" | "--duration" => seconds = number(&word, &value()?)?,
            "--copy" => bind_mode = BindMode::Copy,
            "--zero-copy" => bind_mode = BindMode::ZeroCopy,
            "--native" => xdp_mode = XdpMode::Native,
            "--generic" => xdp_mode = XdpMode::Generic,
            "-h" | "--help" => return Ok(None),
            _ => return Err(format!("what is '{word}'?")),
        }
    }
    if !(1..=65_536).contains(&batch) {
        return Err("a batch has 1 to 65536 packets".into());
    }
    if !(Ethernet::LEN..=65_536).contains(&size) {
        return Err("a packet has 14 to 65536 bytes".into());
    }
    Ok(Some(Options {
        mode: mode.ok_or("a mode is needed: -m rxdrop, txonly or l2fwd")?,
        interface: interface.ok_or("an interface is needed: -i INTERFACE")?,
        queue,
        batch,
        size,
        duration: match seconds {
            0 => Duration::MAX,
            seconds => Duration::from_secs(seconds),
        },
        bind_mode,
        xdp_mode,
    }))
}

fn number<T: FromStr>(word: &str, text: &str) -> Result<T, String> {
    let parsed = text.parse();
    parsed.map_err(|_| format!("{word} takes a number, not '{text}'"))
}

fn main() -> ExitCode {
    let options = match parse(env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(mistake) => {
            eprintln!("manual_packet_pump: {mistake}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match pump(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual_packet_pump: {error}");
            ExitCode::FAILURE
        }
    }
}

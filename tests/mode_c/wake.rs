//! Waking the kernel. What the rings look like.

use super::*;

#[test]
fn the_kernel_is_called_only_when_it_asks() {
    let plain = Plain::new(Setup {
        kick: 8,
        ..Setup::default()
    });
    let mut raw = sized(plain.builder().frames(256), [64; 4]).build().unwrap();
    let kernel = plain.kernel();
    plain.events();
    raw.wake_rx().unwrap();
    let mut batch = batch_of(&mut raw, 0..20);
    raw.send(&mut batch).unwrap();
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), [""; 0]);
    kernel.set_need_wakeup(true, true);
    raw.wake_rx().unwrap();
    assert_eq!(plain.events(), ["wake rx"]);
    // 20 packets at 8 a call.
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), ["wake tx"; 3]);
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), [""; 0]);
    assert_eq!(raw.reap(), 20);
    close(raw);
}

#[test]
fn a_kernel_that_cannot_ask_is_called_each_time() {
    let plain = Plain::new(Setup {
        kick: 64,
        ..Setup::default()
    });
    let builder = plain.builder().frames(256).need_wakeup(false);
    let mut raw = sized(builder, [64; 4]).build().unwrap();
    plain.events();
    raw.wake_rx().unwrap();
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), ["wake rx"]);
    let mut batch = batch_of(&mut raw, 0..20);
    raw.send(&mut batch).unwrap();
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), ["wake tx"]);
    assert_eq!(raw.reap(), 20);
    close(raw);
}

#[test]
fn wake_tx_gives_up_when_nothing_leaves() {
    let plain = Plain::default();
    let mut raw = sized(plain.builder().frames(256), [64; 4]).build().unwrap();
    plain.kernel().set_need_wakeup(false, true);
    let mut batch = batch_of(&mut raw, 0..20);
    raw.send(&mut batch).unwrap();
    plain.events();
    raw.wake_tx().unwrap();
    assert_eq!(plain.events(), ["wake tx"]);
    assert!(!raw.flush(Duration::ZERO).unwrap());
    close(raw);
}

#[test]
fn flush_sends_everything_and_takes_the_frames_back() {
    let plain = Plain::new(Setup {
        kick: 7,
        ..Setup::default()
    });
    // The completion ring is smaller than what is sent.
    let mut raw = sized(plain.builder().frames(256), [64, 64, 64, 8])
        .build()
        .unwrap();
    plain.kernel().set_need_wakeup(false, true);
    let mut batch = batch_of(&mut raw, 0..50);
    raw.send(&mut batch).unwrap();
    assert!(raw.flush(Duration::from_secs(10)).unwrap());
    assert_eq!(raw.debug_rings().ledger.pool, 256 - 64);
    assert!(raw.flush(Duration::ZERO).unwrap());
    close(raw);
}

#[test]
fn wait_rx_asks_the_kernel_only_when_no_packet_is_there() {
    let plain = Plain::default();
    let mut raw = sized(plain.builder().frames(256), [64; 4]).build().unwrap();
    plain.events();
    assert!(!raw.wait_rx(Some(Duration::ZERO)).unwrap());
    assert_eq!(plain.events(), ["wait"]);
    plain.kernel().deliver(0..1, 60);
    assert!(raw.wait_rx(None).unwrap());
    assert_eq!(plain.events(), [""; 0]);
    assert_eq!(raw.fd().unwrap_err().kind(), ErrorKind::Unsupported);
    close(raw);
}

#[test]
fn debug_rings_shows_all_four_rings_and_where_the_frames_are() {
    let (mut raw, kernel) = socket_of(256, [64, 32, 16, 8]);
    kernel.deliver(0..5, 60);
    let mut batch = batch_of(&mut raw, 0..6);
    raw.send(&mut batch).unwrap();
    kernel.transmit(2);
    kernel.set_need_wakeup(true, false);
    let packet = raw.alloc().unwrap();

    let state = raw.debug_rings();
    assert_eq!(
        (
            state.fill.size,
            state.rx.size,
            state.tx.size,
            state.completion.size
        ),
        (64, 32, 16, 8)
    );
    assert_eq!(
        [state.fill, state.rx, state.tx, state.completion].map(|ring| ring.occupied),
        [59, 5, 4, 2]
    );
    assert_eq!(
        (state.fill.needs_wakeup, state.tx.needs_wakeup),
        (true, false)
    );
    let start = u32::MAX - 3;
    assert_eq!(
        (state.tx.producer, state.tx.consumer),
        (start.wrapping_add(6), start.wrapping_add(2))
    );
    let expected = Accounting {
        frames: 256,
        pool: 256 - 64 - 6 - 1,
        user: 1,
        kernel: 64 + 6,
        quarantined: 0,
    };
    assert_eq!((state.counted, state.ledger), (expected, expected));
    assert!(state.is_conserved());

    let text = state.to_string();
    let lines: Vec<_> = text.lines().collect();
    let starts = [
        "fill       ",
        "rx         ",
        "tx         ",
        "completion ",
        "frames     ",
    ];
    assert_eq!(lines.len(), starts.len());
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{text}");
    }
    assert!(
        lines[0].contains("59 of 64") && lines[0].ends_with("needs wake-up"),
        "{text}"
    );
    assert!(
        lines[2].contains("4 of 16") && lines[2].contains("producer 2 "),
        "{text}"
    );
    assert_eq!(
        lines[4],
        "frames     pool 185 + user 1 + kernel 70 = 256 frames"
    );
    drop(packet);
    close(raw);
}

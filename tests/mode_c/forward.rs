//! Forwarding. A panic in the callback.

use super::*;

#[test]
fn forward_sends_and_recycles_by_verdict() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..30, 60);
    let before = kernel.fill_entries().len();
    let count = raw.forward_each(64, |mut packet| {
        let number = number(packet.data());
        packet
            .data_mut()
            .copy_from_slice(&content(number + 1000, 60));
        if number.is_multiple_of(3) {
            Verdict::Send
        } else {
            Verdict::Recycle
        }
    });
    assert_eq!(count, 30);
    assert_eq!(kernel.fill_entries().len() - before, 20);
    let sent = kernel.transmit(64);
    assert!(numbers_sent(&sent).into_iter().eq((1000..1030).step_by(3)));
    assert_eq!(raw.totals(), (30, 10));
    assert_eq!(raw.reap(), 10);
    close(raw);
}

#[test]
fn a_forwarded_packet_leaves_with_the_length_it_was_given() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..2, 100);
    let mut lengths = [1400, 9].into_iter();
    raw.forward_each(2, |mut packet| {
        packet.set_len(lengths.next().unwrap()).unwrap();
        Verdict::Send
    });
    let sent = kernel.transmit(2);
    assert_eq!([sent[0].len(), sent[1].len()], [1400, 9]);
    assert_eq!(sent[1], content(1, 9));
    close(raw);
}

#[test]
fn forward_handles_no_more_than_the_tx_ring_has_room_for_and_loses_nothing() {
    let (mut raw, kernel) = socket_of(256, [64, 64, 8, 64]);
    kernel.deliver(0..20, 60);
    let mut seen = Vec::new();
    let mut judge = |packet: ReceivedPacket<'_>| {
        seen.push(number(packet.data()));
        Verdict::Send
    };
    assert_eq!(raw.forward_each(64, &mut judge), 8);
    assert_eq!(raw.forward_each(64, &mut judge), 0);
    assert_eq!(raw.tx_room(), 0);
    assert_eq!(kernel.transmit(5).len(), 5);
    assert_eq!(raw.tx_room(), 5);
    assert_eq!(raw.forward_each(64, &mut judge), 5);
    kernel.transmit(64);
    assert_eq!(raw.forward_each(3, &mut judge), 3);
    assert_eq!(raw.forward_each(64, &mut judge), 4);
    assert!(seen.into_iter().eq(0..20));
    assert_eq!(kernel.transmit(64).len(), 7);
    assert_eq!(raw.reap(), 20);
    close(raw);
}

#[test]
fn forward_over_a_full_fill_ring_puts_recycled_frames_into_the_pool() {
    for slots in [8, 64, 128] {
        let (mut raw, kernel) = socket_of(512, [slots; 4]);
        kernel.deliver(0..u64::from(slots), 60);
        fill_up(&mut raw, slots);
        let count = raw.forward_each(u32::MAX, |packet| {
            if number(packet.data()).is_multiple_of(2) {
                Verdict::Send
            } else {
                Verdict::Recycle
            }
        });
        assert_eq!(count, slots);
        let ledger = raw.debug_rings().ledger;
        assert_eq!(
            (ledger.pool, ledger.kernel),
            (512 - slots - slots / 2, slots + slots / 2)
        );
        assert!(
            numbers_sent(&kernel.transmit(slots))
                .into_iter()
                .eq((0..u64::from(slots)).step_by(2))
        );
        raw.reap();
        close(raw);
    }
}

#[test]
fn after_a_panic_in_the_callback_no_packet_or_frame_is_lost() {
    // With places in the fill ring, and without: few, and more than are put aside at once.
    for (slots, full) in [(64, false), (16, true), (256, true)] {
        for forward in [false, true] {
            let (mut raw, kernel) = socket_of(1024, [slots; 4]);
            let last = u64::from(slots) - 1;
            kernel.deliver(0..=last, 60);
            if full {
                raw.refill();
            }
            let mut handled = Vec::new();
            let panic = catch_unwind(AssertUnwindSafe(|| {
                run(&mut raw, forward, |packet| {
                    let number = number(packet.data());
                    assert!(number < last - 1, "as planned");
                    handled.push(number);
                })
            }));
            assert!(panic.is_err());
            assert!(handled.into_iter().eq(0..last - 1));
            assert_conserved(&raw);
            // The one that it stopped at is recycled, and those behind it come again.
            assert_eq!(raw.totals().0, last);
            let mut again = Vec::new();
            while run(&mut raw, forward, |packet| {
                again.push(number(packet.data()))
            }) > 0
            {}
            assert_eq!(again, [last]);
            assert_eq!(raw.totals().0, last + 1);
            close(raw);
        }
    }
}

/// Receives in place, or forwards without sending.
fn run(raw: &mut FluxRaw, forward: bool, mut look: impl FnMut(ReceivedPacket<'_>)) -> u32 {
    if forward {
        raw.forward_each(u32::MAX, |packet| {
            look(packet);
            Verdict::Recycle
        })
    } else {
        raw.recv_each(u32::MAX, look)
    }
}

#[test]
fn a_packet_that_was_taken_is_neither_sent_nor_recycled_whatever_the_verdict() {
    let (mut raw, kernel) = socket(64);
    kernel.deliver(0..40, 60);
    let filled = kernel.fill_entries().len();
    let mut taken = Vec::new();
    let count = raw.forward_each(64, |packet| {
        let number = number(packet.data());
        if number % 4 < 2 {
            taken.push(packet.into_packet());
        }
        match number % 2 {
            0 => Verdict::Send,
            _ => Verdict::Recycle,
        }
    });
    assert_eq!((count, taken.len(), raw.totals()), (40, 20, (40, 10)));
    assert_eq!(kernel.fill_entries().len() - filled, 10);
    let state = raw.debug_rings();
    assert_eq!(state.ledger.user, 20, "{state}");
    assert_conserved(&raw);
    let sent = numbers_sent(&kernel.transmit(64));
    assert!(sent.into_iter().eq((2..40).step_by(4)));
    // They are whole, and can still be sent.
    let numbers = taken.iter().map(|packet| number(packet.data()));
    assert!(numbers.eq((0..40).filter(|number| number % 4 < 2)));
    for packet in taken {
        raw.send_one(packet).unwrap();
    }
    assert_eq!(kernel.transmit(64).len(), 20);
    assert_eq!(raw.reap(), 30);
    close(raw);
}

#[test]
fn a_packet_that_was_taken_in_the_call_that_panics_is_lost_to_nobody() {
    for forward in [false, true] {
        let (mut raw, kernel) = socket(64);
        kernel.deliver(0..10, 60);
        let mut taken = Vec::new();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            run(&mut raw, forward, |packet| {
                let number = number(packet.data());
                if number >= 3 {
                    taken.push(packet.into_packet());
                }
                assert!(number < 5, "as planned");
            })
        }));
        assert!(panic.is_err());
        assert_eq!((raw.totals().0, raw.debug_rings().ledger.user), (6, 3));
        assert_conserved(&raw);
        assert!(taken.iter().map(|packet| number(packet.data())).eq(3..6));
        drop(taken);
        assert_conserved(&raw);
        let mut rest = Vec::new();
        raw.recv_each(64, |packet| rest.push(number(packet.data())));
        assert_eq!(rest, [6, 7, 8, 9]);
        close(raw);
    }
}

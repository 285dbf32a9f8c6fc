//! Interfaces that go down, come up and disappear while they are used.

use std::thread;
use std::time::{Duration, Instant};

use fluxcap::{ErrorKind, FluxBuilder, FluxRaw, Link, PacketBatch};

use super::net::{in_namespace, ip};
use super::traffic::{assert_conserved, carry, close, frame, frames, receive, small};

/// Puts `count` packets into the TX ring, and does not wake the kernel.
fn prepare(raw: &mut FluxRaw, count: usize) {
    let mut batch = PacketBatch::with_capacity(count);
    for number in 0..count {
        let mut packet = raw.alloc().unwrap();
        packet.copy_from(&frame(number, 60)).unwrap();
        batch.push(packet).unwrap();
    }
    assert_eq!(raw.send(&mut batch).unwrap() as usize, count);
}

#[test]
fn packets_sent_while_the_interface_is_down_wait_and_leave_when_it_is_up() {
    in_namespace(|| {
        let mut near = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        carry(&mut near, &mut far, &frames(20, 60), 16);
        ip("link set near down");
        prepare(&mut near, 30);
        let error = near.wake_tx().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Down, "{error}");
        assert!(error.to_string().contains("near is down"), "{error}");
        let error = near.flush(Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Down, "{error}");
        let waited = near.wait_rx(Some(Duration::from_millis(150)));
        assert!(!waited.unwrap());
        assert_conserved(&near);
        assert_eq!(near.debug_rings().tx.occupied, 30);

        ip("link set near up");
        assert!(near.flush(Duration::from_secs(5)).unwrap());
        let batch = receive(&mut far, 30);
        for (number, packet) in batch.iter().enumerate() {
            assert_eq!(packet.data(), frame(number, 60));
        }
        drop(batch);
        carry(&mut far, &mut near, &frames(100, 60), 16);
        close(near);
        close(far);
    });
}

#[test]
fn an_interface_that_goes_up_and_down_under_traffic_loses_no_frame() {
    in_namespace(|| {
        let mut near = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        thread::scope(|scope| {
            let switch = scope.spawn(|| {
                for _ in 0..5 {
                    thread::sleep(Duration::from_millis(20));
                    ip("link set near down");
                    thread::sleep(Duration::from_millis(20));
                    ip("link set near up");
                }
            });
            let mut downs = 0;
            while !switch.is_finished() {
                let count = near.tx_room().min(16) as usize;
                near.reap();
                prepare(&mut near, count);
                if let Err(error) = near.wake_tx() {
                    assert_eq!(error.kind(), ErrorKind::Down, "{error}");
                    downs += 1;
                    thread::sleep(Duration::from_millis(1));
                }
                far.recv_each(64, |packet| assert_eq!(packet.len(), 60));
            }
            assert!(downs > 0);
        });
        assert!(near.flush(Duration::from_secs(5)).unwrap());
        while far.wait_rx(Some(Duration::from_millis(50))).unwrap() {
            far.recv_each(64, |packet| assert_eq!(packet.len(), 60));
        }
        carry(&mut near, &mut far, &frames(100, 60), 16);
        close(near);
        close(far);
    });
}

#[test]
fn waiting_on_an_interface_that_is_removed_ends_within_a_second() {
    in_namespace(|| {
        let mut near = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        thread::scope(|scope| {
            let removal = scope.spawn(|| {
                thread::sleep(Duration::from_millis(100));
                ip("link del near");
                Instant::now()
            });
            let error = near.wait_rx(None).unwrap_err();
            let end = Instant::now();
            let removed = removal.join().unwrap();
            assert!(end.saturating_duration_since(removed) < Duration::from_secs(1));
            assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
        });
        // The other end went with it; every later call says so, too.
        for raw in [&mut near, &mut far] {
            let timeout = Some(Duration::from_secs(5));
            assert_eq!(raw.wait_rx(timeout).unwrap_err().kind(), ErrorKind::Gone);
            prepare(raw, 1);
            assert_eq!(raw.wake_tx().unwrap_err().kind(), ErrorKind::Gone);
            assert_eq!(
                raw.flush(Duration::from_secs(5)).unwrap_err().kind(),
                ErrorKind::Gone
            );
        }
        close(near);
        close(far);
    });
}

#[test]
fn sending_on_an_interface_that_is_removed_ends_with_an_error() {
    in_namespace(|| {
        for round in 0..3 {
            let mut near = small("near").build().unwrap();
            let far = small("far").build().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(30));
                    ip("link del near");
                });
                let deadline = Instant::now() + Duration::from_secs(10);
                let error = loop {
                    assert!(Instant::now() < deadline, "round {round}: no error");
                    near.reap();
                    let count = near.tx_room().min(32) as usize;
                    prepare(&mut near, count);
                    match near.wake_tx() {
                        Ok(()) => {}
                        // On its way out it is down for a moment.
                        Err(error) if error.kind() == ErrorKind::Down => {}
                        Err(error) => break error,
                    }
                };
                assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
            });
            close(near);
            close(far);
            super::net::add_pair("near", "far", "");
        }
    });
}

#[test]
fn a_new_interface_of_the_same_name_takes_a_new_socket() {
    in_namespace(|| {
        let mut near = small("near").build().unwrap();
        ip("link del near");
        super::net::add_pair("near", "far", "");
        assert_eq!(near.wait_rx(None).unwrap_err().kind(), ErrorKind::Gone);
        let mut new = small("near").build().unwrap();
        let mut far = small("far").build().unwrap();
        close(near);
        carry(&mut far, &mut new, &frames(50, 60), 16);
        close(new);
        close(far);
    });
}

#[test]
fn an_interface_is_found_by_its_alternative_names() {
    in_namespace(|| {
        let longest = "a".repeat(127);
        let names = [
            "uplink",
            "to-the-rack-on-the-left",
            "pci-0000:03:00.0",
            &longest,
        ];
        for name in names {
            ip(&format!("link property add dev near altname {name}"));
        }
        let mut far = small("far").build().unwrap();
        for name in names {
            let mut near = small(name).build().unwrap();
            // Its name is what it is called from then on.
            assert_eq!(near.interface().name, "near");
            carry(&mut far, &mut near, &frames(10, 60), 8);
            close(near);
        }
        close(far);
        for (name, kind) in [
            ("nobody-is-called-like-that", ErrorKind::NotFound),
            (&"a".repeat(126), ErrorKind::NotFound),
            (&"a".repeat(128), ErrorKind::Invalid),
        ] {
            let error = small(name).build().unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
        let error = FluxBuilder::new(Link::index(0)).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("they begin at 1"), "{error}");
    });
}

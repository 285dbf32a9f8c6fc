//! The host's network stack, and what is refused.

use super::scene::{Scene, same};
use super::traffic::frames;
use super::world::{Options, Pair, Wrong};

/// errno values of Linux.
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const EMSGSIZE: i32 = 90;
const ENETDOWN: i32 = 100;

pub(crate) fn packets_from_the_host(scene: &mut Scene<'_>) {
    scene.world().add_pair("near", "far", Pair::default());
    let mut near = scene.open("near", &Options::default());
    let frames = frames(320, 64);
    for burst in frames.chunks(32) {
        for frame in burst {
            scene.world().host_send("far", frame);
        }
        same(&scene.hold(&mut near, 32), burst, 0);
        near.release(32);
    }
    scene.close(near);
}

pub(crate) fn packets_to_the_host(scene: &mut Scene<'_>) {
    scene.world().add_pair("near", "far", Pair::default());
    scene.world().listen("far");
    // Who only sends needs no program.
    let options = Options {
        program: false,
        ..Options::default()
    };
    let mut near = scene.open("near", &options);
    let frames = frames(320, 100);
    for burst in frames.chunks(32) {
        assert_eq!(near.send(burst), 32);
        scene.hear("far", burst);
        assert!(near.flush(5000));
    }
    assert_eq!(near.program(), None);
    scene.close(near);
}

pub(crate) fn a_closed_queue_is_the_hosts_again(scene: &mut Scene<'_>) {
    let two = Pair {
        queues: 2,
        ..Pair::default()
    };
    scene.world().add_pair("near", "far", two);
    scene.world().listen("near");
    let second = Options {
        queue: 1,
        ..Options::default()
    };
    let mut far = scene.open("far", &Options::default());
    let mut far1 = scene.open_as("far 1", "far", &second, None);
    // Without a program all packets are the host's.
    let frames = frames(30, 60);
    assert_eq!(far.send(&frames), 30);
    scene.hear("near", &frames);

    let mut near1 = scene.open_as("near 1", "near", &second, None);
    scene.carry(&mut far1, &mut near1, &frames, 16);
    assert_eq!(far.send(&frames), 30);
    scene.hear("near", &frames);
    let mut near = scene.open("near", &Options::default());
    scene.carry(&mut far, &mut near, &frames, 16);
    scene.close(near);
    assert_eq!(far.send(&frames), 30);
    scene.hear("near", &frames);
    scene.carry(&mut far1, &mut near1, &frames, 16);
    scene.close(near1);
    for far in [&mut far, &mut far1] {
        assert_eq!(far.send(&frames), 30);
        scene.hear("near", &frames);
        assert!(far.flush(5000));
    }
    scene.close(far1);
    scene.close(far);
}

pub(crate) fn wrong_packets_never_reach_the_kernel(scene: &mut Scene<'_>) {
    for chunk in [4096, 2048] {
        let name = format!("far of {chunk}");
        let options = Options {
            chunk,
            ..Options::default()
        };
        if chunk == 4096 {
            scene.world().add_pair("near", "far", Pair::default());
        }
        let mut near = scene.open_as(&format!("near of {chunk}"), "near", &options, None);
        let mut far = scene.open_as(&name, "far", &options, None);
        // Good ones between bad ones are sent.
        let frames = frames(5, 60);
        for (frame, wrong) in frames.iter().zip([
            None,
            Some(Wrong::Empty),
            Some(Wrong::TooLong),
            Some(Wrong::Stale),
            Some(Wrong::Options),
        ]) {
            if let Some(wrong) = wrong {
                let before = far.rings();
                let errno = match wrong {
                    Wrong::Stale | Wrong::Options => EINVAL,
                    Wrong::Empty | Wrong::TooLong => EMSGSIZE,
                };
                assert_eq!(far.send_wrong(wrong), errno, "{wrong:?}");
                // The frame is free again, and none stands in the TX ring.
                let after = far.rings();
                assert_eq!(after.frames, before.frames, "{wrong:?}");
                assert!(after.occupied[2] <= before.occupied[2], "{wrong:?}");
            }
            assert_eq!(far.send(std::slice::from_ref(frame)), 1);
        }
        assert!(far.flush(5000));
        same(&scene.hold(&mut near, 5), &frames, 0);
        near.release(5);
        assert_eq!(far.statistics().tx_invalid, 0);
        scene.close(near);
        scene.close(far);
    }
}

pub(crate) fn sockets_that_cannot_be(scene: &mut Scene<'_>) {
    let hasty = Options {
        patience_ms: 1,
        ..Options::default()
    };
    scene.world().add_pair("near", "far", Pair::default());
    for wrong in [
        Options {
            queue: 1,
            ..hasty.clone()
        },
        Options {
            chunk: 1024,
            ..hasty.clone()
        },
        Options {
            rx: 63,
            ..hasty.clone()
        },
        // A full packet would not fit.
        Options {
            headroom: 512,
            ..hasty.clone()
        },
    ] {
        assert_eq!(scene.refused("near", &wrong), EINVAL);
    }
    let near = scene.open("near", &Options::default());
    assert_eq!(scene.refused("near", &hasty), EBUSY);
    scene.close(near);
    scene.world().set_up("near", false);
    assert_eq!(scene.refused("near", &hasty), ENETDOWN);
    scene.world().set_up("near", true);
    // Nothing is left behind of what was refused.
    let mut near = scene.open_as("near at last", "near", &Options::default(), None);
    let mut far = scene.open("far", &Options::default());
    scene.carry(&mut far, &mut near, &frames(100, 60), 32);
    scene.close(near);
    scene.close(far);
}

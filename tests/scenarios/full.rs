//! Rings that are full or empty, and programs that do not keep up.

use super::scene::{PATIENCE, Scene, same};
use super::traffic::{frame, frames};
use super::world::{Options, Pair, RECEIVE, Ready, SEND};

/// Linux' number, which the simulator gives everywhere.
const ENETDOWN: i32 = 100;

/// A sender that is never short of anything.
fn strong() -> Options {
    Options {
        frames: 1024,
        fill: 256,
        rx: 256,
        tx: 256,
        completion: 256,
        ..Options::default()
    }
}

pub(crate) fn slow_reader(scene: &mut Scene<'_>) {
    let near = Options {
        fill: 128,
        ..Options::default()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &near, &strong());
    let burst = frames(200, 60);
    assert_eq!(far.send(&burst), 200);
    scene.settle(&mut near, 200);
    let statistics = near.statistics();
    assert_eq!(statistics.rx_ring_full, 136, "{statistics:?}");
    assert_eq!(
        (statistics.rx_dropped, statistics.fill_empty),
        (0, 0),
        "{statistics:?}"
    );
    let came = near.receive(200);
    assert_eq!(came.len(), 64);
    same(&came, &burst, 0);
    scene.carry(&mut far, &mut near, &frames(500, 60), 48);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn slow_writer(scene: &mut Scene<'_>) {
    let (mut near, mut far) = scene.ends(Pair::default(), &Options::default(), &Options::default());
    for number in 0..50 {
        assert!(!near.wait(RECEIVE, 1).unwrap().receive);
        assert!(near.receive(64).is_empty());
        let frame = [frame(number, 60)];
        assert_eq!(far.send(&frame), 1);
        same(&scene.hold(&mut near, 1), &frame, 0);
        near.release(1);
    }
    scene.close(near);
    scene.close(far);
}

pub(crate) fn waiting_to_receive(scene: &mut Scene<'_>) {
    let (mut near, mut far) = scene.ends(Pair::default(), &Options::default(), &Options::default());
    assert_eq!(near.has_descriptor(), cfg!(target_os = "linux"));
    // Nothing comes, and time runs out.
    assert!(!near.wait(RECEIVE, 20).unwrap().receive);
    for round in 0..50 {
        let burst: Vec<_> = (0..20)
            .map(|number| frame(20 * round + number, 60))
            .collect();
        assert_eq!(far.send(&burst), 20);
        let mut came = Vec::new();
        while came.len() < 20 {
            let ready = near.wait(RECEIVE, PATIENCE.as_millis() as u32).unwrap();
            assert!(ready.receive, "waited in vain after {} packets", came.len());
            let packets = near.receive(64);
            assert!(!packets.is_empty(), "ready, but nothing there");
            came.extend(packets);
        }
        same(&came, &burst, 0);
    }
    assert!(!near.wait(RECEIVE, 0).unwrap().receive);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn waiting_to_send(scene: &mut Scene<'_>) {
    let (mut near, mut far) = scene.ends(Pair::default(), &strong(), &Options::default());
    let burst = frames(100, 60);
    assert!(far.wait(SEND, 0).unwrap().send, "an empty ring has room");
    // A full TX ring is a smaller count.
    assert_eq!(far.put(&burst), 64);
    assert_eq!(far.put(&burst[64..]), 0);
    assert_eq!(far.rings().occupied[2], 64);
    // Waiting makes the kernel send.
    scene.until("the TX ring has room", || far.wait(SEND, 100).unwrap().send);
    assert!(far.flush(5000));
    assert_eq!(far.put(&burst[64..]), 36);
    assert!(far.flush(5000));
    same(&scene.hold(&mut near, 100), &burst, 0);
    near.release(100);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn link_down(scene: &mut Scene<'_>) {
    let (mut near, mut far) = scene.ends(Pair::default(), &strong(), &Options::default());
    let burst = frames(64, 60);
    scene.world().set_up("far", false);
    assert_eq!(far.put(&burst), 64);
    assert_eq!(far.wake(), Err(ENETDOWN));
    // The ring is full, and nothing leaves; a sending half calls the kernel by itself, which says so.
    let waited = far.wait(SEND, 10);
    let expected = [Ok(Ready::default()), Err(ENETDOWN)];
    assert!(expected.contains(&waited), "{waited:?}");
    assert_eq!(far.rings().occupied[2], 64);
    scene.world().set_up("far", true);
    assert!(far.flush(5000));
    same(&scene.hold(&mut near, 64), &burst, 0);
    near.release(64);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn one_kick_sends_its_budget(scene: &mut Scene<'_>) {
    let far = Options {
        tx_budget: Some(32),
        ..Options::default()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &strong(), &far);
    let burst = frames(64, 60);
    assert_eq!(far.put(&burst), 64);
    // One wait is one kick.
    far.wait(SEND, 0).unwrap();
    assert_eq!(far.rings().occupied[2], 32, "one kick sends its budget");
    far.wake().unwrap();
    assert_eq!(far.rings().occupied[2], 0);
    same(&scene.hold(&mut near, 64), &burst, 0);
    near.release(64);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn echo_through_a_small_ring(scene: &mut Scene<'_>) {
    let near = Options {
        tx: 4,
        completion: 2,
        ..Options::default()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &near, &strong());
    // Twelve times what there is room for: the others wait in the RX ring.
    scene.echo(&mut far, &mut near, &frames(1000, 60), 48);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn full_completion_ring(scene: &mut Scene<'_>) {
    let far = Options {
        frames: 512,
        tx: 128,
        completion: 16,
        ..Options::default()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &strong(), &far);
    let burst = frames(100, 60);
    assert_eq!(far.send(&burst), 100);
    scene.until("the completion ring is full", || {
        far.rings().occupied[3] == 16
    });
    assert_eq!(far.rings().occupied[2], 84, "nothing more leaves");
    assert!(far.flush(5000));
    same(&scene.hold(&mut near, 100), &burst, 0);
    near.release(100);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn all_frames_held_then_released(scene: &mut Scene<'_>) {
    let near = Options {
        frames: 64,
        ..Options::default()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &near, &strong());
    for round in 0..2 {
        let burst: Vec<_> = (0..32)
            .map(|number| frame(32 * round + number, 60))
            .collect();
        assert_eq!(far.send(&burst), 32);
        same(&scene.hold(&mut near, 32), &burst, 0);
    }
    assert_eq!(near.rings().frames, [0, 64, 0]);
    assert_eq!(near.put(&frames(1, 60)), 0, "no frame is free");
    assert_eq!(far.send(&frames(10, 60)), 10);
    scene.settle(&mut near, 74);
    let statistics = near.statistics();
    assert_eq!(
        (statistics.rx_dropped, statistics.fill_empty),
        (10, 10),
        "{statistics:?}"
    );
    near.release(32);
    near.refill();
    scene.carry(&mut far, &mut near, &frames(200, 60), 8);
    near.release(32);
    scene.carry(&mut far, &mut near, &frames(200, 60), 32);
    scene.carry(&mut near, &mut far, &frames(200, 60), 16);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn packets_too_long_for_the_link(scene: &mut Scene<'_>) {
    let (mut near, mut far) = scene.ends(Pair::default(), &Options::default(), &strong());
    // The kernel takes them, drops them without a word, and gives their frames back.
    let lengths = [60, 1519, 1518, 1600, 1790, 14, 1500];
    let burst: Vec<_> = (0..)
        .zip(lengths)
        .map(|(number, len)| frame(number, len))
        .collect();
    assert_eq!(far.send(&burst), lengths.len());
    assert!(far.flush(5000));
    let fit: Vec<_> = burst
        .into_iter()
        .filter(|frame| frame.len() <= 1518)
        .collect();
    same(&scene.hold(&mut near, fit.len()), &fit, 0);
    near.release(fit.len());
    // None comes late.
    scene.carry(&mut far, &mut near, &frames(20, 60), 10);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn packets_too_long_for_a_frame(scene: &mut Scene<'_>) {
    let far = Options {
        chunk: 4096,
        ..strong()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &Options::default(), &far);
    // A frame that does not fit is refused when the socket is opened; the MTU may grow later.
    for link in ["near", "far"] {
        scene.world().set_mtu(link, 3000);
    }
    let capacity = 2048 - 256;
    let burst: Vec<_> = (0..40)
        .map(|number| frame(number, capacity + number % 2))
        .collect();
    assert_eq!(far.send(&burst), 40);
    scene.settle(&mut near, 40);
    let statistics = near.statistics();
    assert_eq!(statistics.rx_dropped, 20, "{statistics:?}");
    let fit: Vec<_> = burst.into_iter().step_by(2).collect();
    same(&scene.hold(&mut near, 20), &fit, 0);
    near.release(20);
    scene.close(near);
    scene.close(far);
}

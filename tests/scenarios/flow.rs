//! Packets that flow: all arrive, whole and in order.

use std::time::Instant;

use super::scene::{PATIENCE, Scene, same};
use super::traffic::{frame, frames, sizes};
use super::world::{Options, Pair, RECEIVE};

/// What a NIC with chunks of 4096 bytes may be asked to carry: less the kernel's 256, less Ethernet header and VLAN tag.
const LARGEST_MTU: u32 = 3822;

/// Rings that hold a batch many times.
fn roomy() -> Options {
    Options {
        frames: 1024,
        fill: 512,
        rx: 256,
        tx: 256,
        completion: 256,
        ..Options::default()
    }
}

pub(crate) fn echo(scene: &mut Scene<'_>) {
    let options = Options {
        chunk: 4096,
        ..roomy()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &options, &options);
    scene.echo(&mut far, &mut near, &frames(4096, 60), 64);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn echo_in_small_chunks(scene: &mut Scene<'_>) {
    let (mut near, mut far) = scene.ends(Pair::default(), &roomy(), &roomy());
    scene.echo(&mut far, &mut near, &frames(4096, 60), 64);
    scene.close(far);
    scene.close(near);
}

pub(crate) fn echo_in_generic_mode(scene: &mut Scene<'_>) {
    let options = Options {
        generic: true,
        ..roomy()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &options, &options);
    let frames = sizes((60..=1518).step_by(7));
    scene.echo(&mut far, &mut near, &frames, 32);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn echo_without_wakeup_flags(scene: &mut Scene<'_>) {
    let options = Options {
        need_wakeup: false,
        ..Options::default()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &options, &options);
    scene.echo(&mut far, &mut near, &frames(1000, 60), 32);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn echo_on_a_thread(scene: &mut Scene<'_>) {
    let (mut near, mut far) = scene.ends(Pair::default(), &roomy(), &roomy());
    // Once, and again after it was stopped.
    for round in 0..2 {
        near.serve();
        scene.bounce(&mut far, &frames(2000, 60 + round), 64, |_| {});
        near.calm();
    }
    // Nobody is there any more, and then somebody is.
    assert_eq!(far.send(&frames(10, 90)), 10);
    assert!(!far.wait(RECEIVE, 20).unwrap().receive);
    same(&scene.hold(&mut near, 10), &frames(10, 90), 0);
    near.release(10);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn one_packet(scene: &mut Scene<'_>) {
    let options = Options::default();
    let (mut near, mut far) = scene.ends(Pair::default(), &options, &options);
    scene.carry(&mut far, &mut near, &frames(1, 60), 1);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn every_size(scene: &mut Scene<'_>) {
    let pair = Pair {
        mtu: LARGEST_MTU,
        ..Pair::default()
    };
    let options = Options {
        chunk: 4096,
        ..roomy()
    };
    let (mut near, mut far) = scene.ends(pair, &options, &options);
    let frames = sizes(14..=LARGEST_MTU as usize + 18);
    scene.echo(&mut far, &mut near, &frames, 32);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn bidirectional(scene: &mut Scene<'_>) {
    const WINDOW: usize = 48;
    let (near, far) = scene.ends(Pair::default(), &roomy(), &roomy());
    let mut ends = [far, near];
    let ways = [frames(4096, 60), frames(4096, 61)];
    let (mut sent, mut arrived) = ([0; 2], [0; 2]);
    let deadline = Instant::now() + PATIENCE;
    while (0..2).any(|way| arrived[way] < ways[way].len()) {
        let before = arrived;
        for (way, frames) in ways.iter().enumerate() {
            let end = frames.len().min(arrived[way] + WINDOW);
            sent[way] += ends[way].send(&frames[sent[way]..end]);
            let came = ends[1 - way].receive(64);
            same(&came, frames, arrived[way]);
            arrived[way] += came.len();
        }
        if arrived == before {
            assert!(Instant::now() < deadline, "{arrived:?} of {sent:?} arrived");
            ends[0].wait(RECEIVE, 1).unwrap();
        }
    }
    ends.into_iter().for_each(|end| scene.close(end));
}

pub(crate) fn bursts_larger_than_the_rings(scene: &mut Scene<'_>) {
    let near = Options {
        fill: 16,
        rx: 16,
        ..Options::default()
    };
    let far = Options {
        tx: 16,
        completion: 8,
        ..Options::default()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &near, &far);
    scene.carry(&mut far, &mut near, &frames(2000, 128), 12);
    // Offered 48 at once, to a TX ring of 64 and to one of 16.
    scene.carry(&mut near, &mut far, &frames(2000, 128), 48);
    scene.close(near);
    let mut near = scene.open_as("near again", "near", &Options::default(), None);
    scene.carry(&mut far, &mut near, &frames(2000, 128), 48);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn smallest_rings(scene: &mut Scene<'_>) {
    let options = Options {
        frames: 8,
        fill: 1,
        rx: 1,
        tx: 1,
        completion: 1,
        ..Options::default()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &options, &options);
    scene.carry(&mut far, &mut near, &frames(200, 60), 1);
    scene.carry(&mut near, &mut far, &frames(200, 60), 1);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn largest_rings(scene: &mut Scene<'_>) {
    const SLOTS: u32 = 8192;
    const BATCH: usize = 128;
    let options = Options {
        frames: 4 * SLOTS,
        fill: SLOTS,
        rx: SLOTS,
        tx: SLOTS,
        completion: SLOTS,
        ..Options::default()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &options, &options);
    let frames = frames(SLOTS as usize, 60);
    // Fill the whole RX ring, one veth ring's worth at a time.
    for end in (BATCH..=frames.len()).step_by(BATCH) {
        assert_eq!(far.send(&frames[end - BATCH..end]), BATCH);
        scene.settle(&mut near, end as u64);
    }
    assert_eq!(near.rings().occupied[1], SLOTS);
    same(&near.receive(SLOTS), &frames, 0);
    assert!(near.receive(1).is_empty());
    // A whole TX ring stands there until the kernel is woken, which is left out.
    assert!(far.flush(5000));
    assert_eq!(far.put(&frames), frames.len());
    assert_eq!(far.put(&frames[..1]), 0);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn headers_grow_into_the_headroom(scene: &mut Scene<'_>) {
    let options = Options {
        headroom: 64,
        ..Options::default()
    };
    let (mut near, mut far) = scene.ends(Pair::default(), &options, &Options::default());
    let frames = frames(20, 100);
    assert_eq!(far.send(&frames), 20);
    same(&scene.hold(&mut near, 20), &frames, 0);
    // All that is asked for and the kernel's own 256 bytes.
    assert_eq!(near.send_held(20, 256 + 64), 20);
    near.wake().unwrap();
    let grown: Vec<_> = frames
        .iter()
        .map(|frame| [&[0; 320][..], frame].concat())
        .collect();
    same(&scene.hold(&mut far, 20), &grown, 0);
    far.release(20);
    scene.close(near);
    scene.close(far);
}

pub(crate) fn many_links(scene: &mut Scene<'_>) {
    let mut pairs = Vec::new();
    for number in 0..8 {
        let [one, other] = ["a", "b"].map(|end| format!("{end}{number}"));
        scene.world().add_pair(&one, &other, Pair::default());
        pairs.push([one, other].map(|end| scene.open(&end, &Options::default())));
    }
    for (number, [one, other]) in pairs.iter_mut().enumerate() {
        scene.carry(one, other, &frames(100 + number, 90), 32);
    }
    for (number, [one, other]) in pairs.iter_mut().enumerate().rev() {
        scene.carry(other, one, &frames(100 - number, 90), 32);
    }
    for [one, other] in pairs {
        scene.close(other);
        scene.close(one);
    }
}

pub(crate) fn many_queues(scene: &mut Scene<'_>) {
    const QUEUES: u32 = 4;
    let pair = Pair {
        queues: QUEUES,
        ..Pair::default()
    };
    scene.world().add_pair("near", "far", pair);
    let mut ends = Vec::new();
    for queue in 0..QUEUES {
        let options = Options {
            queue,
            ..Options::default()
        };
        ends.push(
            ["near", "far"]
                .map(|link| scene.open_as(&format!("{link} {queue}"), link, &options, None)),
        );
    }
    for (number, [near, far]) in ends.iter_mut().enumerate() {
        scene.carry(far, near, &frames(100 * (number + 1), 60), 32);
        scene.carry(near, far, &frames(50 * (number + 1), 60), 32);
    }
    // All at once: no packet strays to the queue of another.
    let burst: Vec<_> = (0..30).map(|number| frame(1000 + number, 70)).collect();
    for [_, far] in &mut ends {
        assert_eq!(far.send(&burst), burst.len());
    }
    for [near, _] in &mut ends {
        same(&scene.hold(near, burst.len()), &burst, 0);
        near.release(burst.len());
    }
    for [near, far] in ends {
        scene.close(near);
        scene.close(far);
    }
}

pub(crate) fn forwarded_between_links(scene: &mut Scene<'_>) {
    const WINDOW: usize = 24;
    scene.world().add_pair("near", "far", Pair::default());
    scene.world().add_pair("left", "right", Pair::default());
    let own = Options {
        frames: 1024,
        ..Options::default()
    };
    let mut near = scene.open("near", &own);
    let mut left = scene.open_as("left", "left", &own, Some(&near));
    let mut ends = [scene.open("far", &own), scene.open("right", &own)];
    let ways = [frames(2000, 60), frames(2000, 61)];
    let (mut sent, mut arrived) = ([0; 2], [0; 2]);
    let deadline = Instant::now() + PATIENCE;
    while (0..2).any(|way| arrived[way] < ways[way].len()) {
        let before = arrived;
        for (way, frames) in ways.iter().enumerate() {
            let end = frames.len().min(arrived[way] + WINDOW);
            sent[way] += ends[way].send(&frames[sent[way]..end]);
            // Received on one link, sent on another: the same frames, uncopied.
            near.bridge(&mut left, 16);
            let came = ends[1 - way].receive(64);
            same(&came, frames, arrived[way]);
            arrived[way] += came.len();
        }
        if arrived == before {
            assert!(Instant::now() < deadline, "{arrived:?} of {sent:?} arrived");
            ends[0].wait(RECEIVE, 1).unwrap();
        }
    }
    for end in ends.into_iter().chain([near, left]) {
        scene.close(end);
    }
}

pub(crate) fn sockets_sharing_a_umem(scene: &mut Scene<'_>) {
    let two = Pair {
        queues: 2,
        ..Pair::default()
    };
    scene.world().add_pair("near", "far", two);
    scene.world().add_pair("left", "right", Pair::default());
    let own = Options {
        frames: 1024,
        ..Options::default()
    };
    let second = Options {
        queue: 1,
        ..own.clone()
    };
    // Two queues of one link, and another link, on the same frames.
    let mut near = scene.open("near", &own);
    let mut near1 = scene.open_as("near 1", "near", &second, Some(&near));
    let mut left = scene.open_as("left", "left", &own, Some(&near));
    let mut far = scene.open("far", &own);
    let mut far1 = scene.open_as("far 1", "far", &second, None);
    let mut right = scene.open("right", &own);

    let frames = frames(40, 200);
    for (from, to) in [(&mut far, &mut near), (&mut far1, &mut near1)] {
        assert_eq!(from.send(&frames), 40);
        same(&scene.hold(to, 40), &frames, 0);
        // Received on one link, sent on another: the same frames, uncopied.
        assert_eq!(left.adopt(to.give(40)), 40);
        left.wake().unwrap();
        same(&scene.hold(&mut right, 40), &frames, 0);
        right.release(40);
        assert!(left.flush(5000));
    }
    scene.carry(&mut right, &mut left, &frames, 32);
    scene.close(near);
    scene.carry(&mut far1, &mut near1, &frames, 32);
    scene.close(near1);
    scene.carry(&mut right, &mut left, &frames, 32);
    scene.close(left);
    for end in [far, far1, right] {
        scene.close(end);
    }
}

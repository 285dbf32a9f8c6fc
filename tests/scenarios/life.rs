//! Sockets that come and go, in any order.

use super::scene::{Scene, same};
use super::traffic::frames;
use super::world::{Options, Pair};

pub(crate) fn both_ends_closed_and_opened(scene: &mut Scene<'_>) {
    let cycles = scene.world().cycles();
    scene.world().add_pair("near", "far", Pair::default());
    let options = Options {
        frames: 64,
        ..Options::default()
    };
    let one = frames(1, 60);
    for cycle in 0..cycles {
        let mut near = scene.open("near", &options);
        let mut far = scene.open("far", &options);
        scene.echo(&mut far, &mut near, &one, 1);
        let ends = if cycle % 2 == 0 {
            [near, far]
        } else {
            [far, near]
        };
        ends.into_iter().for_each(|end| scene.close(end));
    }
}

#[derive(Clone, Copy)]
enum Step {
    CloseNear,
    CloseFar,
    ReleaseNear,
    ReleaseFar,
}

/// All orders of four steps.
fn orders() -> Vec<[Step; 4]> {
    use Step::{CloseFar, CloseNear, ReleaseFar, ReleaseNear};
    let steps = [CloseNear, CloseFar, ReleaseNear, ReleaseFar];
    let mut orders = Vec::new();
    for number in 0..24 {
        let mut left = steps.to_vec();
        let mut order = Vec::new();
        let mut rest = number;
        for choices in (1..=4).rev() {
            order.push(left.remove(rest % choices));
            rest /= choices;
        }
        orders.push(order.try_into().ok().expect("four steps"));
    }
    orders
}

pub(crate) fn teardown_in_every_order(scene: &mut Scene<'_>) {
    const HELD: usize = 8;
    let (few, many) = (frames(HELD, 60), frames(32, 60));
    for (number, order) in orders().into_iter().enumerate() {
        // A cable of its own: what was under way at the end of a round does not arrive in the next.
        let links = ["near", "far"].map(|end| format!("{end}{number}"));
        let [one, other] = &links;
        scene.world().add_pair(one, other, Pair::default());
        let [mut near, mut far] = links.map(|link| scene.open(&link, &Options::default()));
        assert_eq!((near.send(&few), far.send(&few)), (HELD, HELD));
        for end in [&mut near, &mut far] {
            same(&scene.hold(end, HELD), &few, 0);
        }
        // Both send and receive on threads of their own, while one after the other goes.
        near.flood(&many);
        far.flood(&many);
        scene.until("traffic flows both ways", || {
            near.flooded() > 32 && far.flooded() > 32
        });
        for step in order {
            match step {
                Step::CloseNear => near.close(),
                Step::CloseFar => far.close(),
                Step::ReleaseNear => near.release(HELD),
                Step::ReleaseFar => far.release(HELD),
            }
        }
        scene.gone(near);
        scene.gone(far);
    }
}

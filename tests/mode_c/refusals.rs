//! Refusals before anything happens.

use super::*;

/// The text of the refusal; nothing was allocated, opened or attached.
#[track_caller]
fn refusal(plain: &Plain, builder: FluxBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(plain.events(), [""; 0]);
    error.to_string()
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn impossible_ring_sizes_are_refused_by_the_name_of_the_ring() {
    let plain = Plain::default();
    for (size, rule, fix) in [
        (0, "power of two", "use for example 2"),
        (3, "power of two", "use for example 4"),
        (1 << 21, "at most 1048576 slots", "use 2048"),
    ] {
        let builder = || plain.builder();
        for (name, builder) in [
            ("fill ring", builder().fill_size(size)),
            ("RX ring", builder().rx_size(size)),
            ("TX ring", builder().tx_size(size)),
            ("completion ring", builder().completion_size(size)),
        ] {
            let text = refusal(&plain, builder);
            assert_says(&text, &[&format!("{name} size {size}: "), rule, fix]);
        }
    }
}

#[test]
fn impossible_geometries_are_refused_with_rule_and_fix() {
    let plain = Plain::default();
    let builder = || plain.builder();
    for (builder, parts) in [
        (
            builder().frames(0),
            ["0 frames", "1 to 16777216", "use 4096"],
        ),
        (
            builder().frames(u32::MAX),
            ["4294967295 frames", "1 to 16777216", "use 4096"],
        ),
        (
            builder().chunk_size(0),
            ["chunk size 0", "power of two", "use 2048 or 4096"],
        ),
        (
            builder().chunk_size(3000),
            ["chunk size 3000", "power of two", "use 2048 or 4096"],
        ),
        (
            builder().chunk_size(1024),
            ["chunk size 1024", "between 2048 and 65536", "use 2048"],
        ),
        (
            builder().chunk_size(8192),
            ["chunk size 8192", "larger than a page", "hugepages"],
        ),
        (
            builder().headroom(3840),
            ["headroom 3840", "below 3840", "smaller headroom"],
        ),
        (
            builder().headroom(u32::MAX),
            ["headroom 4294967295", "below 3840", "larger chunk"],
        ),
    ] {
        assert_says(&refusal(&plain, builder), &parts);
    }
}

#[test]
fn an_mtu_that_does_not_fit_a_frame_is_refused_unless_nothing_is_received() {
    let plain = Plain::new(Setup {
        mtu: 9000,
        ..Setup::default()
    });
    let text = refusal(&plain, plain.builder().load_xdp(true));
    assert_says(&text, &["MTU 9000", "9018", "3840", "use larger chunks"]);
    close(plain.builder().build().unwrap());
    plain.events();

    let plain = Plain::default();
    let builder = || {
        plain
            .builder()
            .chunk_size(2048)
            .bind_mode(BindMode::ZeroCopy)
    };
    let text = refusal(&plain, builder().headroom(257));
    assert_says(
        &text,
        &[
            "zero-copy on plain with MTU 1500",
            "headroom 257",
            "1382",
            "larger chunks",
        ],
    );
    close(builder().headroom(256).build().unwrap());
}

#[test]
fn impossible_budgets_are_refused_with_rule_and_fix() {
    let plain = Plain::default();
    let busy = |microseconds, budget| {
        plain.builder().busy_poll(BusyPoll {
            microseconds,
            budget,
        })
    };
    for (builder, parts) in [
        (
            plain.builder().tx_budget(31),
            ["TX budget 31", "between 32 and", "2048"],
        ),
        (
            plain.builder().tx_budget(2049),
            ["TX budget 2049", "between 32 and", "default"],
        ),
        (
            plain.builder().tx_size(16).tx_budget(33),
            ["TX budget 33", "size of the TX ring", "16"],
        ),
        (
            busy(0, 64),
            ["for 0 microseconds", "1 to 2,147,483,647", "leave it off"],
        ),
        (
            busy(1 << 31, 64),
            ["2147483648", "1 to 2,147,483,647", "use 20"],
        ),
        (
            busy(20, 0),
            ["and 0 packets", "1 to 65,535 packets", "use 20"],
        ),
        (busy(20, 65_536), ["65536", "1 to 65,535 packets", "use 20"]),
    ] {
        assert_says(&refusal(&plain, builder), &parts);
    }
    for builder in [
        plain.builder().tx_budget(32),
        plain.builder().tx_budget(2048),
        plain.builder().tx_size(16).tx_budget(32),
        busy(1, 1),
        busy(i32::MAX as u32, 65_535),
        plain.builder().queue(3),
    ] {
        close(builder.build().unwrap());
    }
}

//! The table in SELFTESTS.md.

/// The tests of the kernel's `xskxceiver` (Linux 6.18), as it prints their names.
const SELFTESTS: [&str; 36] = [
    "SEND_RECEIVE",
    "SEND_RECEIVE_2K_FRAME",
    "SEND_RECEIVE_SINGLE_PKT",
    "POLL_RX",
    "POLL_TX",
    "POLL_RXQ_FULL",
    "POLL_TXQ_FULL",
    "SEND_RECEIVE_UNALIGNED",
    "ALIGNED_INV_DESC",
    "ALIGNED_INV_DESC_2K_FRAME_SIZE",
    "UNALIGNED_INV_DESC",
    "UNALIGNED_INV_DESC_4001_FRAME_SIZE",
    "UMEM_HEADROOM",
    "TEARDOWN",
    "BIDIRECTIONAL",
    "STAT_RX_DROPPED",
    "STAT_TX_INVALID",
    "STAT_RX_FULL",
    "STAT_FILL_EMPTY",
    "XDP_PROG_CLEANUP",
    "XDP_DROP_HALF",
    "XDP_SHARED_UMEM",
    "XDP_METADATA_COPY",
    "XDP_METADATA_COPY_MULTI_BUFF",
    "SEND_RECEIVE_9K_PACKETS",
    "SEND_RECEIVE_UNALIGNED_9K_PACKETS",
    "ALIGNED_INV_DESC_MULTI_BUFF",
    "UNALIGNED_INV_DESC_MULTI_BUFF",
    "TOO_MANY_FRAGS",
    "HW_SW_MIN_RING_SIZE",
    "HW_SW_MAX_RING_SIZE",
    "XDP_ADJUST_TAIL_SHRINK",
    "XDP_ADJUST_TAIL_SHRINK_MULTI_BUFF",
    "XDP_ADJUST_TAIL_GROW",
    "XDP_ADJUST_TAIL_GROW_MULTI_BUFF",
    "TX_QUEUE_CONSUMER",
];

#[test]
fn the_table_names_each_selftest_once_and_a_scenario_or_a_reason() {
    let rows: Vec<(&str, &str)> = include_str!("SELFTESTS.md")
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1) // the heading
        .map(|line| {
            let mut cells = line.trim_matches('|').splitn(2, " | ");
            let mut cell = || cells.next().expect("two cells").trim();
            (cell(), cell())
        })
        .collect();
    let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, SELFTESTS);
    for (name, answer) in rows {
        // What stands in backquotes is a scenario, or a file.
        let quoted: Vec<&str> = answer.split('`').skip(1).step_by(2).collect();
        let scenarios: Vec<_> = quoted.iter().filter(|word| !word.contains('/')).collect();
        for scenario in &scenarios {
            assert!(
                super::ALL.iter().any(|known| known.name == **scenario),
                "{name}: no scenario {scenario}"
            );
        }
        let reason = answer.strip_prefix("not yet: ");
        assert!(
            reason.is_some_and(|reason| !reason.is_empty()) == scenarios.is_empty(),
            "{name}: a scenario, or a reason why there is none: {answer}"
        );
    }
}

//! Wishes and their answers.

use std::fs;
use std::os::fd::AsRawFd;
use std::time::Instant;

use fluxcap::{
    Answer, BindMode, BusyPoll, ErrorKind, HugepageSize, Hugepages, UmemConfig, UmemRegion,
};

use super::net::in_namespace;
use super::traffic::{carry, close, frames, large, small};

#[test]
fn zero_copy_on_veth_is_answered_with_copy_and_the_reason_or_refused_when_demanded() {
    in_namespace(|| {
        let near = small("near").build().unwrap();
        let answer = &near.report().bind_mode;
        assert_eq!(
            (answer.requested, answer.achieved),
            (BindMode::Auto, BindMode::Copy)
        );
        let reason = answer.reason.as_ref().unwrap();
        assert!(reason.contains("(veth) has no zero-copy"), "{reason}");
        close(near);

        let near = small("near").bind_mode(BindMode::Copy).build().unwrap();
        let granted = Answer::granted(BindMode::Copy, BindMode::Copy);
        assert_eq!(near.report().bind_mode, granted);
        close(near);

        let error = small("near")
            .bind_mode(BindMode::ZeroCopy)
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(
            error.to_string().contains("(veth) has no zero-copy"),
            "{error}"
        );
        assert!(!super::net::has_program("near"));
    });
}

#[test]
fn need_wakeup_busy_polling_and_tx_budget_are_answered() {
    in_namespace(|| {
        let wish = BusyPoll {
            microseconds: 50,
            budget: 16,
        };
        let mut near = small("near").busy_poll(wish).build().unwrap();
        let report = near.report().clone();
        assert_eq!(report.need_wakeup, Answer::granted(true, true));
        assert_eq!(report.busy_poll.requested, Some(wish));
        assert!(report.busy_poll.achieved == Some(wish) || report.busy_poll.reason.is_some());
        assert_eq!(report.tx_budget.requested, 64);
        assert!(report.tx_budget.achieved == 64 || report.tx_budget.reason.is_some());
        assert_eq!(report.page_size.achieved % 4096, 0);
        assert_eq!(report.numa_node, Answer::granted(None, None));
        let mut far = small("far")
            .need_wakeup(false)
            .tx_budget(32)
            .build()
            .unwrap();
        assert_eq!(far.report().need_wakeup, Answer::granted(false, false));
        assert_eq!(far.report().busy_poll, Answer::granted(None, None));
        assert_eq!(far.report().tx_budget, Answer::granted(32, 32));
        carry(&mut far, &mut near, &frames(500, 60), 48);
        carry(&mut near, &mut far, &frames(500, 60), 48);
        close(near);
        close(far);
    });
}

#[test]
fn a_report_reads_as_lines_for_people() {
    in_namespace(|| {
        let near = small("near").build().unwrap();
        let text = near.report().to_string();
        for line in [
            "bind mode:   requested auto, achieved copy, because the driver of near (veth)",
            "XDP mode:    requested auto, achieved native",
            "page size:   requested ordinary pages, achieved 4096 bytes",
            "need wakeup: requested yes, achieved yes",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let interface = near.interface();
        assert_eq!((interface.name.as_str(), interface.mtu), ("near", 1500));
        assert!(interface.up && interface.mac.is_some());
        assert_eq!(interface.rx_queues, Some(1));
        close(near);
    });
}

#[test]
fn the_numa_node_of_the_umem_is_answered() {
    in_namespace(|| {
        let mut near = small("near").numa_node(0).build().unwrap();
        let answer = &near.report().numa_node;
        assert!(
            answer.achieved == Some(0) || answer.reason.is_some(),
            "{answer}"
        );
        let mut far = small("far").build().unwrap();
        carry(&mut far, &mut near, &frames(100, 60), 32);
        close(near);
        close(far);
    });
}

#[test]
fn hugepages_that_the_machine_does_not_have_are_answered() {
    in_namespace(|| {
        // A terabyte.
        let many = |hugepages| {
            small("near")
                .frames(1 << 24)
                .chunk_size(65_536)
                .hugepages(hugepages)
        };
        let error = many(Hugepages::Require(HugepageSize::Size2M))
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Memory, "{error}");
        assert!(error.to_string().contains("nr_hugepages"), "{error}");

        if number("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages") > 0 {
            println!(
                "skipped: the machine has free 1 GiB pages, so preferring them is no question"
            );
            return;
        }
        let wish = Hugepages::Prefer(HugepageSize::Size1G);
        let near = small("near").hugepages(wish).build().unwrap();
        let answer = &near.report().page_size;
        assert_eq!((answer.requested, answer.achieved), (wish, 4096));
        assert!(
            answer.reason.as_ref().unwrap().contains("1 GiB"),
            "{answer}"
        );
        close(near);
    });
}

const HUGEPAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

fn number(file: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// More hugepages for the machine, until dropped.
struct Reserved(u64);

impl Reserved {
    fn new(count: u64) -> Option<Self> {
        let before = number(HUGEPAGES);
        fs::write(HUGEPAGES, (before + count).to_string()).ok()?;
        let reserved = Self(before);
        (number(&HUGEPAGES.replace("nr_", "free_")) >= count).then_some(reserved)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let _ = fs::write(HUGEPAGES, self.0.to_string());
    }
}

#[test]
fn required_hugepages_are_behind_the_packets_when_the_machine_has_them() {
    in_namespace(|| {
        let Some(_reserved) = Reserved::new(4) else {
            println!("skipped: the machine gives no hugepages of 2 MiB");
            return;
        };
        let wish = Hugepages::Require(HugepageSize::Size2M);
        let mut near = small("near").frames(1024).hugepages(wish).build().unwrap();
        assert_eq!(near.report().page_size, Answer::granted(wish, 2 << 20));
        let mut far = small("far").build().unwrap();
        carry(&mut far, &mut near, &frames(500, 60), 48);
        carry(&mut near, &mut far, &frames(500, 60), 48);
        close(near);
        close(far);
    });
}

#[test]
fn a_umem_of_four_gibibytes_works() {
    in_namespace(|| {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
        let available = meminfo.split("MemAvailable:").nth(1).unwrap();
        let kilobytes: u64 = available
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        if kilobytes < 6 << 20 {
            println!("skipped: less than 6 GiB of memory are available");
            return;
        }
        let begin = Instant::now();
        let mut near = large("near").frames(1 << 20).build().unwrap();
        println!("a UMEM of 4 GiB was set up in {:?}", begin.elapsed());
        assert_eq!(near.umem().memory().len(), 4 << 30);
        let mut far = large("far").build().unwrap();
        carry(&mut far, &mut near, &frames(3000, 60), 64);
        carry(&mut near, &mut far, &frames(3000, 60), 64);
        close(near);
        close(far);
    });
}

/// For each mapping of this process that `is_wanted`, by its line in `/proc/self/smaps`, whether core dumps leave it out.
fn left_out(is_wanted: impl Fn(&str) -> bool) -> Vec<bool> {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut wanted = false;
    let mut found = Vec::new();
    for line in smaps.lines() {
        match line.strip_prefix("VmFlags:") {
            Some(flags) if wanted => found.push(flags.split(' ').any(|flag| flag == "dd")),
            Some(_) => {}
            // The other lines of a mapping have a colon behind their first word.
            None if line.split(' ').next().unwrap().contains('-') => wanted = is_wanted(line),
            None => {}
        }
    }
    found
}

fn is_left_out(umem: &UmemRegion) -> bool {
    let address = umem.memory().start().as_ptr() as usize;
    let here = |line: &str| {
        let range = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] =
            [range.0, range.1].map(|address| usize::from_str_radix(address, 16).unwrap());
        (start..end).contains(&address)
    };
    let found = left_out(here);
    assert_eq!(found.len(), 1);
    found[0]
}

#[test]
fn packets_are_no_part_of_core_dumps_unless_they_are_wanted_there() {
    in_namespace(|| {
        for dump in [false, true] {
            let raw = small("near").core_dump(dump).build().unwrap();
            assert_eq!(is_left_out(raw.umem()), !dump);
            close(raw);
            let config = UmemConfig {
                core_dump: dump,
                ..UmemConfig::default()
            };
            assert_eq!(is_left_out(&UmemRegion::heap(config).unwrap()), !dump);
        }
    });
}

#[test]
fn rings_are_no_part_of_core_dumps_whatever_is_wanted_of_packets() {
    in_namespace(|| {
        for dump in [false, true] {
            let raw = small("near").core_dump(dump).build().unwrap();
            let number = raw.fd().unwrap().as_raw_fd();
            let socket = fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
            let socket = socket.to_str().unwrap();
            assert_eq!(left_out(|line| line.ends_with(socket)), [true; 4]);
            close(raw);
        }
    });
}

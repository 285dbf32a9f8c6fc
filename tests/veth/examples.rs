//! The example programs do what they say.

use std::fs;
use std::process::Command;

use super::net::{Elsewhere, add_pair, has_program, in_namespace, ip, wait_until};
use super::process::{Program, example, is_installed, run};
#[cfg(feature = "async")]
use super::traffic::ask;

#[test]
fn the_ping_responder_answers_and_prints_its_counters() {
    in_namespace(|| {
        if !is_installed("ping") {
            println!("skipped: ping (iputils-ping) is not installed");
            return;
        }
        let elsewhere = Elsewhere::with("far", "10.0.0.1/24");
        for options in ["", "-q 0 --copy --generic"] {
            let words = format!("-i near -a 10.0.0.2 {options}");
            let mut responder = Program::start(&mut example("ping_responder", &words));
            responder.wait_for("bind mode:");
            responder.wait_for("answering 10.0.0.2 on near queue 0");
            let said = elsewhere
                .run(|| run(Command::new("ping").args(["-c", "3", "-i", "0.1", "10.0.0.2"])));
            assert!(said.contains("3 received, 0% packet loss"), "{said}");
            responder.signal(libc::SIGUSR1);
            let counted = responder.wait_for("received ");
            assert!(counted.contains("echo answered 3"), "{counted}");
            responder.wait_for("frames ");
            // A ping to somebody else is none of its business.
            elsewhere.run(|| {
                let words = ["-c", "1", "-W", "0.2", "10.0.0.3"];
                Program::start(Command::new("ping").args(words)).finish();
                // Or the kernel goes on asking for that neighbour, also while the next responder is not ready yet.
                let words = ["neighbour", "del", "10.0.0.3", "dev", "far"];
                Program::start(Command::new("ip").args(words)).finish()
            });
            responder.signal(libc::SIGTERM);
            let (status, said) = responder.finish();
            assert!(status.success(), "{said}");
            assert!(said.contains("kernel: dropped 0, RX ring full 0"), "{said}");
            assert!(said.contains("passed on 0, dropped 0"), "{said}");
            assert!(!said.contains("WRONG"), "{said}");
            assert!(!has_program("near"));
        }
    });
}

#[test]
fn the_packet_pump_pumps_in_all_three_modes() {
    in_namespace(|| {
        let mut drain = Program::start(&mut example(
            "manual_packet_pump",
            "-m rxdrop -i near -b 32 --copy --native",
        ));
        drain.wait_for("bind mode:");
        let sent = run(&mut example(
            "manual_packet_pump",
            "-m txonly -i far -s 100 -d 2",
        ));
        drain.wait_for("now ");
        drain.signal(libc::SIGINT);
        let (status, received) = drain.finish();
        assert!(status.success(), "{received}");
        assert!(pumped(&sent, "sent ") > 0, "{sent}");
        assert!(pumped(&received, "received ") > 0, "{received}");
        assert!(pumped(&received, "received ") <= pumped(&sent, "sent "));

        let mut mirror = Program::start(&mut example(
            "manual_packet_pump",
            "-m l2fwd -i near --generic",
        ));
        mirror.wait_for("bind mode:");
        let words = "-m txonly -i far -n 20000 -B -D 02:00:00:00:00:01";
        let sent = run(&mut example("manual_packet_pump", words));
        assert_eq!(pumped(&sent, "sent "), 20_000, "{sent}");
        mirror.signal(libc::SIGTERM);
        let (status, said) = mirror.finish();
        assert!(status.success(), "{said}");
        let mirrored = pumped(&said, "sent ");
        assert!(
            mirrored > 0 && mirrored == pumped(&said, "received "),
            "{said}"
        );
        assert!(!has_program("near") && !has_program("far"));
    });
}

#[test]
fn the_ping_responder_answers_on_all_queues() {
    in_namespace(|| {
        if !is_installed("ping") {
            println!("skipped: ping (iputils-ping) is not installed");
            return;
        }
        add_pair("four", "fore", "numrxqueues 4 numtxqueues 4");
        let elsewhere = Elsewhere::with("fore", "10.0.4.1/24");
        let mut responder = Program::start(&mut example("ping_responder", "-i four -a 10.0.4.2"));
        responder.wait_for("answering 10.0.4.2 on four queues 0 to 3");
        // Each is a flow of its own, for one of the queues.
        for _ in 0..8 {
            let said = elsewhere.run(|| run(Command::new("ping").args(["-c", "1", "10.0.4.2"])));
            assert!(said.contains("1 received"), "{said}");
        }
        responder.signal(libc::SIGUSR1);
        for _ in 0..4 {
            responder.wait_for(": received ");
        }
        responder.signal(libc::SIGTERM);
        let (status, said) = responder.finish();
        assert!(status.success(), "{said}");
        assert!(!said.contains("note:        four has"), "{said}");
        assert!(!said.contains("WRONG"), "{said}");
        assert!(!has_program("four"));
    });
}

#[cfg(feature = "async")]
#[test]
fn the_echo_in_tasks_answers_flows_of_all_queues() {
    in_namespace(|| {
        add_pair("four", "fore", "numrxqueues 4 numtxqueues 4");
        ip("link set four address 02:00:00:00:00:04");
        let elsewhere = Elsewhere::with("fore", "10.0.4.1/24");
        elsewhere.run(|| ip("neigh add 10.0.4.2 lladdr 02:00:00:00:00:04 dev fore"));
        for (options, text) in [("", "queues 0 to 3: UDP"), ("-q 2", "queue 2: UDP")] {
            let mut echo =
                Program::start(&mut example("async_echo", &format!("-i four {options}")));
            echo.wait_for(text);
            if options.is_empty() {
                ask(&elsewhere, "10.0.4.2:7");
                echo.signal(libc::SIGUSR1);
                for _ in 0..4 {
                    echo.wait_for(": received ");
                }
            }
            echo.signal(libc::SIGTERM);
            let (status, said) = echo.finish();
            assert!(status.success(), "{said}");
            let is_noted = said.contains("packets of queues 0, 1, 3 do not come here");
            assert_eq!(is_noted, !options.is_empty(), "{said}");
            assert!(!has_program("four"));
        }
    });
}

#[test]
fn the_packet_pump_receives_on_all_queues() {
    in_namespace(|| {
        add_pair("four", "fore", "numrxqueues 4 numtxqueues 4");
        let mut drain = Program::start(&mut example("manual_packet_pump", "-m rxdrop -i four"));
        drain.wait_for("queue 3: now ");
        for queue in 0..4 {
            let words = format!("-m txonly -i fore -q {queue} -n 100");
            run(&mut example("manual_packet_pump", &words));
        }
        drain.signal(libc::SIGINT);
        let (status, said) = drain.finish();
        assert!(status.success(), "{said}");
        for queue in 0..4 {
            let line = format!("queue {queue}: received 100, ");
            assert!(said.contains(&line), "{said}");
        }
        assert!(!has_program("four"));
    });
}

#[test]
fn the_packet_pump_goes_on_when_its_link_flaps() {
    in_namespace(|| {
        for mode in ["txonly", "l2fwd"] {
            let words = format!("-m {mode} -i near");
            let mut pump = Program::start(&mut example("manual_packet_pump", &words));
            pump.wait_for("now ");
            ip("link set near down");
            pump.wait_for("now ");
            pump.wait_for("now ");
            ip("link set near up");
            if mode == "txonly" {
                let packets = || {
                    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
                    let far = text
                        .lines()
                        .find_map(|line| line.trim().strip_prefix("far:"));
                    let received = far.unwrap().split_whitespace().nth(1).unwrap();
                    received.parse::<u64>().unwrap()
                };
                let before = packets();
                wait_until("packets come again", || packets() > before);
            }
            pump.wait_for("now ");
            pump.signal(libc::SIGTERM);
            let (status, said) = pump.finish();
            assert!(status.success(), "{said}");
            assert!(!said.contains("WRONG"), "{said}");
        }
    });
}

/// The number of packets behind `word` in the summary.
fn pumped(said: &str, word: &str) -> u64 {
    let summary = said
        .lines()
        .find(|line| line.contains("received ") && line.contains("sent "));
    let number = summary.and_then(|line| line.split(word).nth(1));
    let number = number.and_then(|rest| rest.split([' ', ',']).next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no summary in {said}"))
}

#[test]
fn mistakes_on_the_command_line_are_explained() {
    for (name, good, bad) in [
        (
            "ping_responder",
            "--help",
            [
                "",
                "-i near",
                "-i near -a 10.0.0.999",
                "-i near -a 10.0.0.2 -q one",
                "-x",
            ],
        ),
        (
            "manual_packet_pump",
            "-h",
            [
                "",
                "-m rxdrop",
                "-m sideways -i near",
                "-m txonly -i near -s 3",
                "-m",
            ],
        ),
    ] {
        assert!(run(&mut example(name, good)).contains("usage:"));
        for words in bad {
            let (status, said) = Program::start(&mut example(name, words)).finish();
            assert_eq!(status.code(), Some(2), "{words}: {said}");
            assert!(said.starts_with(name) && said.contains("usage:"), "{said}");
        }
    }
}

#[test]
fn what_the_library_refuses_is_printed_for_people() {
    in_namespace(|| {
        for (name, words) in [
            ("ping_responder", "-i nowhere -a 10.0.0.2"),
            ("manual_packet_pump", "-m rxdrop -i nowhere"),
            ("manual_packet_pump", "-m rxdrop -i near --zero-copy"),
        ] {
            let (status, said) = Program::start(&mut example(name, words)).finish();
            assert_eq!(status.code(), Some(1), "{said}");
            assert!(said.starts_with(&format!("{name}: ")), "{said}");
            assert!(!said.contains("FluxError"), "{said}");
        }
    });
}

//! The C examples for engines and halves, on simulated links and between network stacks of the kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::Program;
use super::tags::rules_hold_for_tags_left_to_the_device;
use super::{Place, ROOT, check, in_namespace, stdout, tool};

/// Of a program that binds to queue 1 of a simulated NIC, and so has made two.
const OTHER_QUEUE: &str =
    "note:        sim0 has 2 receive queues: packets of queues 0 do not come here";

/// Compiles an example with sanitizers.
fn sanitized(place: &Place, name: &str) -> PathBuf {
    let program = place.0.join(name);
    place.compile(
        tool("CC", "cc", &["-std=c11", "-fsanitize=address,undefined"])
            .arg("-fno-sanitize-recover=all")
            .arg(format!("{ROOT}/examples-c/{name}.c")),
        &program,
    );
    program
}

fn says(program: &Path, words: &str, parts: &[&str]) {
    let text = stdout(&super::run(Command::new(program).args(words.split(' '))));
    for part in parts {
        assert!(text.contains(part), "{words}: no {part:?} in:\n{text}");
    }
}

/// Runs it with words that it refuses, and returns what it says.
fn refuses(program: &Path, words: &str, code: i32) -> String {
    let output = Command::new(program)
        .args(words.split_whitespace())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(code), "{words}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_firewall_keeps_to_its_rules() {
    let place = Place::new();
    let firewall = sanitized(&place, "firewall_engine");
    let expected = [
        "1000 of 1000  UDP 10.0.0.1:5000 > 9.9.9.9:53",
        "1000 of 1000  UDP 9.9.9.9:53 > 10.0.0.1:5000",
        "   0 of 1000  UDP 192.0.2.66:5000",
        "   0 of 1000  UDP 10.0.0.1:5000 > 9.9.9.9:54",
        "0 > 1: passed 1000, denied 2000 (0 malformed)",
    ];
    says(&firewall, "--sim", &expected);
    says(&firewall, "--help", &["usage: ", "both ways"]);
    let sample = format!("--sim --poller wait --rules {ROOT}/examples/firewall.rules");
    says(&firewall, &sample, &expected);
    let rules = place.0.join("rules");
    for (text, passed) in [
        ("default allow", "passed 3000, denied 0"),
        (
            "allow udp from 10.0.0.0/31 to any port 53-54",
            "passed 2000, denied 1000",
        ),
        (
            "deny 17 to 8.0.0.0/7\ndefault allow",
            "passed 0, denied 3000",
        ),
        ("allow any from ::/0\nallow other", "passed 0, denied 3000"),
        ("# nothing\n\n", "passed 0, denied 3000"),
    ] {
        fs::write(&rules, text).unwrap();
        let words = format!("--sim -r {}", rules.display());
        says(&firewall, &words, &[&format!("0 > 1: {passed}")]);
    }
    for (text, wrong) in [
        ("allow tcp\npermit tcp", "line 2: 'permit'"),
        ("allow", "line 1: '(a protocol is missing)'"),
        ("allow 256", "'256'"),
        ("allow tcp form any", "'form'"),
        ("allow tcp to", "'(an address is missing)'"),
        ("allow tcp to 10.0.0.300", "'10.0.0.300'"),
        ("allow tcp to 10.0.0.0/33", "'10.0.0.0/33'"),
        ("allow tcp to 10.0.0.1/8", "'10.0.0.1/8'"),
        ("allow tcp to fd00::/-1", "'fd00::/-1'"),
        ("allow tcp from 10.0.0.1 to fd00::1", "'fd00::1'"),
        ("allow tcp to any port", "'(a port is missing)'"),
        ("allow tcp to any port 9-8", "'9'"),
        ("allow icmp to any port 80", "'80'"),
        ("allow tcp both", "'both'"),
        ("default", "'default'"),
        ("default allow\ndefault deny", "line 2: 'default'"),
        ("a b c d e f g h i j k l m n o p q r", "'(too many words)'"),
    ] {
        fs::write(&rules, text).unwrap();
        let said = refuses(&firewall, &format!("--sim -r {}", rules.display()), 1);
        assert!(
            said.contains(wrong) && said.contains(", line "),
            "{text}: {said}"
        );
    }
    for words in [
        "",
        "near",
        "near far",
        "--sim near",
        "--sim -p lazy",
        "--sim -I 0",
        "-x",
    ] {
        assert!(!refuses(&firewall, words, 2).is_empty());
    }
    let said = refuses(
        &firewall,
        &format!("nosuch0 nosuch1 -r {ROOT}/examples/firewall.rules"),
        1,
    );
    assert!(said.contains("nosuch0"), "{said}");
}

#[test]
fn the_firewall_stands_between_two_stacks_and_reads_its_rules_anew() {
    let place = Place::new();
    let firewall = place.example("firewall_engine");
    let script = r#"
        firewall=$1 work=$2
        fail() { cat "$work/log"; exit 1; }
        trap 'kill $ends' EXIT
        ends=
        # Moves one end of a cable to a stack of its own.
        stack() {
            unshare --net sleep 90 &
            ends="$ends $!"
            until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
            ip link set "$1" netns $! || exit 1
            nsenter --net=/proc/$!/ns/net sh -c "ip address add $2 dev $1 && ip link set $1 up" || exit 1
        }
        wait_for() {
            tries=0
            until grep -q "$1" "$work/log"; do
                tries=$((tries + 1))
                [ $tries -lt 200 ] || fail
                sleep 0.05
            done
        }
        ip link add left type veth peer name right && ip link set left up || exit 1
        stack fluxb 10.0.0.1/24
        near=$!
        stack right 10.0.0.2/24
        printf 'allow arp\nallow icmp\n' >"$work/rules"
        "$firewall" fluxa left -r "$work/rules" >"$work/log" 2>&1 &
        pid=$!
        wait_for 'rules between'
        ping="nsenter --net=/proc/$near/ns/net ping -c 2 -i 0.2"
        $ping -W 5 10.0.0.2 || fail
        printf 'allow arp\ndeny icmp\n#\n' >"$work/rules"
        kill -HUP $pid
        wait_for '^2 rules$'
        $ping -W 0.3 10.0.0.2 && fail
        printf 'allow apr\n' >"$work/rules"
        kill -HUP $pid
        wait_for 'the old rules stay'
        kill -USR1 $pid
        wait_for ' [2-9] packets .* deny icmp'
        kill -INT $pid
        wait $pid || fail
        grep -q "line 1: 'apr' is wrong" "$work/log" || fail
    "#;
    check(&mut in_namespace(&[
        "sh",
        "-c",
        script,
        "-",
        firewall.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

#[test]
fn a_tag_left_to_the_device_takes_no_denied_packet_through_the_firewall() {
    let place = Place::new();
    let firewall = place.example("firewall_engine");
    rules_hold_for_tags_left_to_the_device(move |words| {
        let mut firewall = Program::start(Command::new(&firewall).args(words.split(' ')));
        firewall.wait_for("rules between the two interfaces");
        firewall
    });
}

#[test]
fn flows_of_all_queues_pass_the_firewall() {
    let place = Place::new();
    let firewall = sanitized(&place, "firewall_engine");
    let echo = place.example("epoll_echo");
    let script = r#"
        firewall=$1 echo=$2 work=$3
        fail() { cat "$work"/log*; exit 1; }
        pair() {
            ip link add $1 numrxqueues $3 numtxqueues $3 type veth peer name $2 numrxqueues $3 numtxqueues $3 &&
                ip link set $1 up && ip link set $2 up || exit 1
        }
        wait_for() {
            tries=0
            until grep -q "$2" "$work/$1"; do
                tries=$((tries + 1))
                [ $tries -lt 200 ] || fail
                sleep 0.05
            done
        }
        printf 'allow arp
allow udp to 10.0.0.2 port 7 both ways
' >"$work/rules"
        for queues in '4 4' '4 1' '1 4'; do
            pair client left ${queues% *}
            pair right server ${queues#* }
            ip address add 10.0.0.1/24 dev client || exit 1
            : >"$work/log1"
            : >"$work/log2"
            "$echo" -i server -a 10.0.0.2 >"$work/log1" 2>&1 &
            server=$!
            "$firewall" left right -r "$work/rules" >"$work/log2" 2>&1 &
            pid=$!
            wait_for log1 '^echoing'
            wait_for log2 "which have ${queues% *} and ${queues#* } queues here"
            # Each question is a flow of its own, for one of the queues.
            for number in $(seq 64); do
                exec 3<>/dev/udp/10.0.0.2/7 || exit 1
                echo "number $number" >&3
                [ "$(timeout 10 dd bs=1500 count=1 <&3 2>/dev/null)" = "number $number" ] || fail
            done
            kill -INT $pid && wait $pid || fail
            kill -INT $server && wait $server || fail
            grep -q '^0 > 1: passed 6[5-9],' "$work/log2" || fail
            ! grep 'receive queues' "$work/log2" || fail
            ip link del client && ip link del server || exit 1
        done
    "#;
    check(&mut in_namespace(&[
        "bash",
        "-c",
        script,
        "-",
        firewall.to_str().unwrap(),
        echo.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

#[test]
fn datagrams_come_back_from_an_event_loop() {
    let place = Place::new();
    let echo = sanitized(&place, "epoll_echo");
    let good = ["echoed 20000,", "20000 came back, 0 wrong"];
    says(&echo, "--sim", &good);
    let words = format!(
        "--record {} -q 1 -u 9",
        place.0.join("echo.pcapng").display()
    );
    says(&echo, &words, &good);
    says(&echo, &words, &[OTHER_QUEUE]);
    says(&echo, "--help", &["usage: "]);
    for words in [
        "",
        "-i lo",
        "-i lo -a 10.0.0",
        "--sim -u 0",
        "--sim -i lo",
        "--sim more",
    ] {
        assert!(!refuses(&echo, words, 2).is_empty());
    }
    assert!(refuses(&echo, "-i nosuch0 -a 10.0.0.2", 1).contains("nosuch0"));
    let script = r#"
        echo=$1 work=$2
        ip address add 10.0.0.1/24 dev fluxa
        "$echo" -i fluxb -a 10.0.0.2 -I 1 >"$work/log" 2>&1 &
        pid=$!
        for try in $(seq 200); do grep -q '^echoing' "$work/log" && break; sleep 0.05; done
        # The kernel here leaves the checksum to its card.
        exec 3<>/dev/udp/10.0.0.2/7 || exit 1
        for number in 1 2 3; do
            echo "number $number" >&3
            # All of a datagram, or the rest of it is gone.
            answer=$(timeout 10 dd bs=1500 count=1 <&3 2>/dev/null)
            [ "$answer" = "number $number" ] || { cat "$work/log"; exit 1; }
        done
        sleep 1.1
        kill -INT $pid
        wait $pid || { cat "$work/log"; exit 1; }
        # The timer of the loop printed it before the end did.
        [ "$(grep -c 'echoed 3, ARP answered 1' "$work/log")" -ge 2 ] || { cat "$work/log"; exit 1; }
        # Each question is a flow of its own, for one of the queues.
        ip link add four numrxqueues 4 numtxqueues 4 type veth peer name fore numrxqueues 4 numtxqueues 4
        ip address add 10.0.4.1/24 dev four && ip link set four up && ip link set fore up || exit 1
        : >"$work/log"
        "$echo" -i fore -a 10.0.4.2 >"$work/log" 2>&1 &
        pid=$!
        for try in $(seq 200); do grep -q '^echoing .* on queues 0 to 3$' "$work/log" && break; sleep 0.05; done
        for number in $(seq 64); do
            exec 3<>/dev/udp/10.0.4.2/7 || exit 1
            echo "number $number" >&3
            answer=$(timeout 10 dd bs=1500 count=1 <&3 2>/dev/null)
            [ "$answer" = "number $number" ] || { cat "$work/log"; exit 1; }
        done
        kill -INT $pid
        wait $pid && ! grep 'receive queues' "$work/log" || { cat "$work/log"; exit 1; }
        # It does not wait for ever for an interface that is gone. The log of the last one is not its own.
        : >"$work/log"
        "$echo" -i fluxb -a 10.0.0.2 >"$work/log" 2>&1 &
        pid=$!
        for try in $(seq 200); do grep -q '^echoing' "$work/log" && break; sleep 0.05; done
        ip link del fluxb
        wait $pid
        [ $? = 1 ] && grep -q 'fluxb.*gone\|fluxb.*removed' "$work/log" || { cat "$work/log"; exit 1; }
    "#;
    check(&mut in_namespace(&[
        "bash",
        "-c",
        script,
        "-",
        echo.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

#[test]
fn an_event_loop_goes_on_when_its_link_goes_down_before_it_answers() {
    let place = Place::new();
    let echo = sanitized(&place, "epoll_echo");
    let script = r#"
        echo=$1 log=$2/log
        fail() { cat "$log"; exit 1; }
        : >"$log"
        ip address add 10.0.0.1/24 dev fluxa
        "$echo" -i fluxb -a 10.0.0.2 >"$log" 2>&1 &
        pid=$!
        # Until it says so; it prints its counters each time.
        wait_for() {
            tries=0
            until grep -q "$1" "$log"; do
                tries=$((tries + 1))
                [ $tries -lt 400 ] && kill -0 $pid || fail
                sleep 0.05
                [ -z "$2" ] || kill -USR1 $pid || fail
            done
        }
        ask() {
            echo "number $1" >&3
            [ "$(timeout 10 dd bs=1500 count=1 <&3 2>/dev/null)" = "number $1" ] || fail
        }
        wait_for '^echoing'
        exec 3<>/dev/udp/10.0.0.2/7 || fail
        ask 1
        # They wait in the RX ring when the link goes down.
        kill -STOP $pid
        for number in 2 3 4; do echo "number $number" >&3; done
        ip link set fluxb down
        kill -CONT $pid
        wait_for 'echoed 4,' counters
        ip link set fluxb up
        # Some of those answers may come now.
        exec 3<>/dev/udp/10.0.0.2/7 || fail
        ask 5
        kill -INT $pid && wait $pid || fail
    "#;
    check(&mut in_namespace(&[
        "bash",
        "-c",
        script,
        "-",
        echo.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

#[test]
fn the_load_balancer_moves_the_flows_of_a_silent_backend_alone() {
    let place = Place::new();
    let balancer = sanitized(&place, "load_balancer_system");
    let good = [
        "10.0.0.13:8080 is down",
        " 0 others moved, 0 were lost, 0 packets wrong",
    ];
    says(&balancer, "--sim", &good);
    let words = format!("--record {} -q 1", place.0.join("flows.pcap").display());
    says(&balancer, &words, &good);
    says(&balancer, &words, &[OTHER_QUEUE]);
    let words = "--sim -s 203.0.113.9:443 -b 203.0.113.1:1 -b 203.0.113.2:2";
    says(&balancer, words, &["203.0.113.2:2 is down", good[1]]);
    says(&balancer, "--help", &["usage: "]);
    for words in [
        "",
        "-i lo",
        "-i lo -s 10.0.0.1:80",
        "--sim -i lo",
        "--sim -s 10.0.0.1",
        "--sim -s 10.0.0.1:32768",
        "--sim -b 10.0.0:1",
        "--sim -b 10.0.0.3:0",
        "--sim -b 10.0.0.3:1 -b 10.0.0.3:2",
        "--sim --down-after 0",
        "--sim more",
    ] {
        assert!(!refuses(&balancer, words, 2).is_empty());
    }
    let said = refuses(&balancer, "-i nosuch0 -s 10.0.0.1:80 -b 10.0.0.2:80", 1);
    assert!(said.contains("nosuch0"), "{said}");
}

#[test]
fn the_load_balancer_serves_the_kernels_datagrams_of_all_queues_by_two_event_loops() {
    let place = Place::new();
    let balancer = sanitized(&place, "load_balancer_system");
    let echo = place.example("epoll_echo");
    let script = r#"
        balancer=$1 echo=$2 work=$3
        fail() { cat "$work"/log*; exit 1; }
        ip link add bridge0 type bridge && ip link set bridge0 up || exit 1
        for number in 1 2 3; do
            queues='numrxqueues 4 numtxqueues 4'
            ip link add end$number $queues type veth peer name port$number $queues && ip link set end$number up || exit 1
            ip link set port$number master bridge0 up || exit 1
        done
        # So that each question of this stack takes one of four queues on its way.
        ip link add here $queues type veth peer name port0 $queues && ip link set port0 master bridge0 up || exit 1
        ip link set here up && ip address add 10.0.0.1/24 dev here || exit 1
        wait_for() {
            tries=0
            until grep -q "$2" "$work/$1"; do
                tries=$((tries + 1))
                [ $tries -lt 200 ] || fail
                sleep 0.05
            done
        }
        # Asks from a new port each time.
        ask() {
            for number in $(seq "$1"); do
                exec 3<>/dev/udp/10.0.0.100/80 || exit 1
                echo "number $number" >&3
                [ "$(timeout 10 dd bs=1500 count=1 <&3 2>/dev/null)" = "number $number" ] || fail
            done
        }
        "$echo" -i end2 -a 10.0.0.12 -u 9 >"$work/log2" 2>&1 &
        first=$!
        "$echo" -i end3 -a 10.0.0.13 -u 10 >"$work/log3" 2>&1 &
        second=$!
        wait_for log2 '^echoing'
        wait_for log3 '^echoing'
        "$balancer" -i end1 -s 10.0.0.100:80 -b 10.0.0.12:9 -b 10.0.0.13:10 --down-after 2 >"$work/log1" 2>&1 &
        pid=$!
        wait_for log1 '10.0.0.12:9 is up'
        wait_for log1 '10.0.0.13:10 is up'
        grep -q '^2 backends, queues 0 to 3$' "$work/log1" || fail
        ask 30
        kill -INT $second && wait $second || fail
        wait_for log1 '10.0.0.13:10 is down'
        ask 10
        kill -INT $first && wait $first || fail
        kill -INT $pid && wait $pid || fail
        # Both had some, and together all.
        echoed() { sed -n 's/.*: echoed \([0-9]*\),.*/\1/p' "$work/$1" | tail -n 1; }
        [ "$(echoed log3)" -gt 3 ] && [ "$(echoed log2)" -gt 13 ] && [ $(($(echoed log2) + $(echoed log3))) -eq 40 ] || fail
    "#;
    check(&mut in_namespace(&[
        "bash",
        "-c",
        script,
        "-",
        balancer.to_str().unwrap(),
        echo.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

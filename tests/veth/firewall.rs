//! The firewall example between two network stacks of the kernel.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::net::{Elsewhere, add_pair, has_program, in_namespace, ip};
use super::process::{Program, example, is_installed};
use super::stacks::{refused, serve, talk};
use super::tags::rules_hold_for_tags_left_to_the_device;
use super::traffic::{PATIENCE, ask};

const SERVICE: &str = "10.0.0.2:8080";
const OTHER: &str = "10.0.0.2:9090";

/// How long to wait for what must not come.
const SHORT: Duration = Duration::from_millis(300);

/// A file of rules, removed when dropped.
struct RulesFile(PathBuf);

impl RulesFile {
    fn new(rules: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("firewall-{}-{number}.rules", id());
        let file = Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        file.write(rules);
        file
    }

    fn write(&self, rules: &str) {
        fs::write(&self.0, rules).unwrap();
    }
}

impl Drop for RulesFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A client and a server, with the firewall between them.
struct Line {
    client: Elsewhere,
    server: Elsewhere,
    firewall: Program,
    rules: RulesFile,
}

impl Line {
    fn new(rules: &str, options: &str) -> Self {
        Self::with_queues(rules, options, [1, 1])
    }

    /// With so many queues at either side.
    fn with_queues(rules: &str, options: &str, [client, server]: [u32; 2]) -> Self {
        let words = |count| format!("numrxqueues {count} numtxqueues {count}");
        ip("link del near");
        add_pair("near", "far", &words(client));
        add_pair("left", "right", &words(server));
        let client = Elsewhere::with("far", "10.0.0.1/24");
        let server = Elsewhere::with("right", "10.0.0.2/24");
        let rules = RulesFile::new(rules);
        let words = format!("near left --rules {} {options}", rules.0.display());
        let mut firewall = Program::start(&mut example("firewall_engine", &words));
        firewall.wait_for("rules between near and left");
        Self {
            client,
            server,
            firewall,
            rules,
        }
    }

    fn reload(&mut self, rules: &str, answer: &str) {
        self.rules.write(rules);
        self.firewall.signal(libc::SIGHUP);
        self.firewall.wait_for(answer);
    }

    /// Whether the server can be reached there, with so much patience.
    fn connects(&self, address: &str, patience: Duration) -> bool {
        let address: SocketAddr = address.parse().unwrap();
        self.client
            .run(move || TcpStream::connect_timeout(&address, patience).is_ok())
    }

    /// Sees that the server can be reached at one address, and not at the other.
    fn reaches(&self, one: &str, other: &str) {
        assert!(self.connects(one, PATIENCE), "{one}");
        assert!(!self.connects(other, SHORT), "{other}");
    }

    /// Pings the server three times, waits so many seconds for the answers, and returns what `ping` says.
    fn ping(&self, patience: Duration) -> String {
        self.client.run(move || {
            let patience = patience.as_secs_f64().to_string();
            let words = ["-c", "3", "-i", "0.05", "-W", &patience, "10.0.0.2"];
            let (_, said) = Program::start(Command::new("ping").args(words)).finish();
            said
        })
    }

    /// Ends the firewall, and returns what it said.
    fn finish(self) -> String {
        self.firewall.signal(libc::SIGTERM);
        let (status, said) = self.firewall.finish();
        assert!(status.success(), "{said}");
        assert!(!said.contains("WRONG") && !has_program("near"), "{said}");
        said
    }
}

#[test]
fn the_firewall_passes_what_its_rules_allow_and_reads_them_anew() {
    in_namespace(|| {
        if !is_installed("ping") {
            println!("skipped: ping (iputils-ping) is not installed");
            return;
        }
        let mut line = Line::new(
            "allow arp\nallow icmp\nallow tcp to 10.0.0.2 port 8080 both ways",
            "",
        );
        let _listening = line.server.run(|| {
            let listen = |address: &str| TcpListener::bind(address).unwrap();
            [SERVICE, OTHER].map(listen)
        });
        let said = line.ping(PATIENCE);
        assert!(said.contains("3 received, 0% packet loss"), "{said}");
        line.reaches(SERVICE, OTHER);

        line.reload(
            "allow arp\ndeny icmp\n\nallow tcp to any port 9090 both ways",
            "new rules: 3",
        );
        let said = line.ping(SHORT);
        assert!(said.contains(" 0 received"), "{said}");
        line.reaches(OTHER, SERVICE);

        line.reload("default allow\nallow tcq", "line 2: 'tcq' is no protocol");
        line.reaches(OTHER, SERVICE);

        line.firewall.signal(libc::SIGUSR1);
        let denied = line.firewall.wait_for("line 2: deny icmp");
        assert!(denied.trim_start().starts_with("3 "), "{denied}");
        let said = line.finish();
        assert!(said.contains("the old rules stay"), "{said}");
    });
}

#[test]
fn tcp_with_its_checksums_left_to_the_card_passes_the_firewall_unharmed() {
    for options in ["", "--poller wait --copy --interval 1"] {
        in_namespace(move || {
            let rules = "allow arp\nallow tcp to 10.0.0.2 port 8080 both ways";
            let line = Line::new(rules, options);
            let serving = serve(&line.server, SERVICE.parse().unwrap(), 3_000_000);
            talk(&line.client, SERVICE.parse().unwrap(), 3_000_000);
            serving.join().unwrap();
            assert_eq!((refused(&line.client), refused(&line.server)), (0, 0));
            let said = line.finish();
            for direction in ["near > left: ", "left > near: "] {
                let totals = said.lines().rfind(|line| line.starts_with(direction));
                let completed = totals.and_then(|line| line.rsplit(' ').next());
                let completed: u32 = completed.unwrap().parse().unwrap();
                assert!(completed > 100, "{said}");
            }
        });
    }
}

#[test]
fn flows_of_all_queues_pass_the_firewall() {
    for queues in [[4, 4], [4, 1], [1, 4]] {
        in_namespace(move || {
            let rules = "allow arp\nallow udp to 10.0.0.2 port 7 both ways";
            let mut line = Line::with_queues(rules, "", queues);
            line.server.run(|| {
                let socket = UdpSocket::bind("10.0.0.2:7").unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                thread::spawn(move || {
                    let mut bytes = [0; 100];
                    while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                        socket.send_to(&bytes[..length], from).unwrap();
                    }
                });
            });
            ask(&line.client, "10.0.0.2:7");
            line.firewall.signal(libc::SIGUSR1);
            let passed = line.firewall.wait_for("line 2: allow udp");
            assert!(passed.trim_start().starts_with("128 "), "{passed}");
            let said = line.finish();
            assert!(!said.contains("receive queues"), "{said}");
        });
    }
}

#[test]
fn a_tag_left_to_the_device_takes_no_denied_packet_through_the_firewall() {
    rules_hold_for_tags_left_to_the_device(|words| {
        let mut firewall = Program::start(&mut example("firewall_engine", words));
        firewall.wait_for("rules between near and left");
        firewall
    });
}

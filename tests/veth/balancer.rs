//! The load balancer example among network stacks of the kernel: a bridge joins it with a client and two backends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::net::{Elsewhere, add_pair, has_program, in_namespace, ip};
use super::process::{Program, example};
use super::stacks::refused;
use super::traffic::{PATIENCE, frame};

const SERVICE: &str = "10.0.0.100:80";
const BYTES: usize = 100_000;
/// Queues of each interface.
const FOUR: &str = "numrxqueues 4 numtxqueues 4";

/// A stack with a way to the bridge.
fn attach(port: &str, interface: &'static str, address: &'static str) -> Elsewhere {
    add_pair(port, interface, FOUR);
    ip(&format!("link set {port} master bridge0"));
    Elsewhere::with(interface, address)
}

/// Accepts connections until the result is dropped: says who it is, and sends back what it gets.
fn serve(backend: &Elsewhere, address: &'static str, name: u8) -> Arc<()> {
    let token = Arc::new(());
    let wanted = Arc::downgrade(&token);
    backend.run(move || {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            while wanted.strong_count() > 0 {
                match listener.accept() {
                    Ok((stream, _)) => answer(stream, name),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
    });
    token
}

/// What goes wrong here is seen by the client.
fn answer(mut stream: TcpStream, name: u8) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = vec![0; BYTES];
    let _ = stream.write_all(&[name]);
    let _ = stream.read_exact(&mut bytes);
    let _ = stream.write_all(&bytes);
}

/// Talks to the service so many times, and returns which backends answered.
fn talk(client: &Elsewhere, times: usize) -> Vec<u8> {
    client.run(move || {
        let service: SocketAddr = SERVICE.parse().unwrap();
        let question = frame(1, BYTES);
        let answers = (0..times).map(|_| {
            let mut stream = TcpStream::connect_timeout(&service, PATIENCE).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut name = [0];
            stream.read_exact(&mut name).unwrap();
            stream.write_all(&question).unwrap();
            let mut answer = vec![0; BYTES];
            stream.read_exact(&mut answer).unwrap();
            assert!(answer == question, "damaged");
            name[0]
        });
        answers.collect()
    })
}

#[test]
fn the_load_balancer_spreads_connections_and_leaves_out_a_backend_that_is_gone() {
    in_namespace(|| {
        ip("link add bridge0 type bridge");
        ip("link set bridge0 up");
        ip("link set far master bridge0");
        let client = attach("port0", "client", "10.0.0.1/24");
        let one = attach("port1", "one", "10.0.0.11/24");
        let two = attach("port2", "two", "10.0.0.12/24");
        let _one = serve(&one, "10.0.0.11:8080", 1);
        let _two = serve(&two, "10.0.0.12:8081", 2);

        let words =
            format!("-i near -s {SERVICE} -b 10.0.0.11:8080 -b 10.0.0.12:8081 --down-after 2");
        let mut balancer = Program::start(&mut example("load_balancer_system", &words));
        balancer.wait_for("2 backends serve");
        balancer.wait_for(" is up");
        balancer.wait_for(" is up");
        let answered = talk(&client, 40);
        for name in [1, 2] {
            let share = answered.iter().filter(|&&by| by == name).count();
            assert!(share > 5, "{answered:?}");
        }
        assert_eq!((refused(&client), refused(&one), refused(&two)), (0, 0, 0));

        ip("link set port2 down");
        balancer.wait_for("10.0.0.12:8081 is down");
        assert!(talk(&client, 20).iter().all(|&name| name == 1));
        ip("link set port2 up");
        balancer.wait_for("10.0.0.12:8081 is up");
        assert!(talk(&client, 40).contains(&2));

        balancer.signal(libc::SIGUSR1);
        balancer.wait_for("flows moved 0");
        balancer.signal(libc::SIGTERM);
        let (status, said) = balancer.finish();
        assert!(status.success(), "{said}");
        assert!(
            said.contains("no backend 0, no room for a session 0"),
            "{said}"
        );
        assert!(said.contains("kernel: dropped 0, RX ring full 0"), "{said}");
        assert!(!has_program("near"));
    });
}

#[test]
fn the_load_balancer_serves_flows_of_all_queues() {
    in_namespace(|| {
        ip("link add bridge0 type bridge");
        ip("link set bridge0 up");
        add_pair("four", "fore", FOUR);
        ip("link set fore master bridge0");
        let client = attach("port0", "client", "10.0.0.1/24");
        let one = attach("port1", "one", "10.0.0.11/24");
        let _one = serve(&one, "10.0.0.11:8080", 1);
        let words = format!("-i four -s {SERVICE} -b 10.0.0.11:8080");
        let mut balancer = Program::start(&mut example("load_balancer_system", &words));
        balancer.wait_for("on four queues 0 to 3");
        balancer.wait_for(" is up");
        assert_eq!(talk(&client, 40), [1; 40]);
        assert_eq!((refused(&client), refused(&one)), (0, 0));
        balancer.signal(libc::SIGUSR1);
        for _ in 0..4 {
            balancer.wait_for(": received ");
        }
        balancer.signal(libc::SIGTERM);
        let (status, said) = balancer.finish();
        assert!(status.success(), "{said}");
        assert!(!said.contains("receive queues"), "{said}");
        assert!(!has_program("four"));
    });
}

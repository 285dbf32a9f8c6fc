//! The load balancer example's table and sessions, and what it does with single packets.

use std::net::{Ipv4Addr, SocketAddrV4};

use fluxcap::proto::{Arp, ArpOperation, Ethernet, FlowKey, IpProtocol, MacAddr};

use super::frames;
use balancer::Balancer;
use sessions::{Client, FIRST_PORT, MOST, Sessions};
use table::Table;

#[path = "../../examples/load_balancer_system/balancer.rs"]
mod balancer;
#[path = "../../examples/load_balancer_system/sessions.rs"]
mod sessions;
#[path = "../../examples/load_balancer_system/table.rs"]
mod table;

const US: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 80);
const FLOWS: u32 = 100_000;

fn backend(number: usize) -> SocketAddrV4 {
    SocketAddrV4::new([10, 0, 0, 11 + number as u8].into(), 8080)
}

fn mac(number: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0xbb, number as u8])
}

fn client(number: u16) -> SocketAddrV4 {
    SocketAddrV4::new([198, 51, 100, (number >> 8) as u8].into(), 1000 + number)
}

/// Hashes as flows have them.
fn hash(flow: u32) -> u32 {
    flow.wrapping_mul(0x9e37_79b1)
}

fn dealt(count: usize, is_up: impl Fn(usize) -> bool) -> Vec<Option<usize>> {
    let mut table = Table::new((0..count).map(backend));
    table.deal(is_up);
    (0..FLOWS).map(|flow| table.pick(hash(flow))).collect()
}

#[test]
fn flows_are_dealt_out_evenly() {
    let all = dealt(5, |_| true);
    for number in 0..5 {
        let share = all.iter().filter(|&&to| to == Some(number)).count();
        assert!((18_000..22_000).contains(&share), "{number}: {share}");
    }
}

#[test]
fn only_the_flows_of_a_backend_that_goes_move_and_they_come_back() {
    let all = dealt(5, |_| true);
    for gone in 0..5 {
        let rest = dealt(5, |number| number != gone);
        for (before, after) in all.iter().zip(&rest) {
            match *before == Some(gone) {
                true => assert!(after.is_some_and(|number| number != gone)),
                false => assert_eq!(before, after),
            }
        }
        // It takes the flows that it had, when it comes.
        let mut table = Table::new((0..5).map(backend));
        table.deal(|number| number != gone);
        table.deal(|_| true);
        assert!((0..FLOWS).all(|flow| table.pick(hash(flow)) == all[flow as usize]));
    }
    assert!(dealt(5, |_| false).iter().all(Option::is_none));
    assert!(
        dealt(5, |number| number == 3)
            .iter()
            .all(|&to| to == Some(3))
    );
}

#[test]
fn the_order_of_the_backends_does_not_matter() {
    let one = dealt(5, |_| true);
    let mut table = Table::new((0..5).rev().map(backend));
    table.deal(|_| true);
    for (flow, to) in (0..FLOWS).zip(one) {
        assert_eq!(table.pick(hash(flow)).map(|number| 4 - number), to);
    }
}

fn tcp_client(number: u16) -> Client {
    Client {
        address: client(number),
        protocol: IpProtocol::TCP,
    }
}

#[test]
fn a_flow_keeps_its_port_and_two_never_share_one() {
    let mut sessions = Sessions::new();
    let mut ports = std::collections::HashMap::new();
    for number in 0..5000 {
        let client = tcp_client(number);
        if let Some((port, _)) = sessions.of_client(client, hash(number.into()), 0) {
            assert!(usize::from(port - FIRST_PORT) < MOST);
            assert_eq!(ports.insert(port, client), None, "{port}");
        }
    }
    assert!(ports.len() > 4990);
    assert_eq!(sessions.count(0), ports.len());
    for (port, client) in ports {
        assert!(sessions.of_port(port).unwrap().client == client);
        let hash = hash((client.address.port() - 1000).into());
        assert_eq!(sessions.of_client(client, hash, 1).unwrap().0, port);
    }
    for port in [0, 80, FIRST_PORT - 1, FIRST_PORT + MOST as u16, u16::MAX] {
        assert!(sessions.of_port(port).is_none(), "{port}");
    }
}

#[test]
fn sessions_make_room_when_they_are_idle_or_over_and_not_before() {
    let mut sessions = Sessions::new();
    let mut ports = Vec::new();
    for number in 0..4 {
        ports.push(sessions.of_client(tcp_client(number), 7, 0).unwrap().0);
    }
    assert!(sessions.of_client(tcp_client(4), 7, 59_999).is_none());
    // The others are used again.
    for number in 1..4 {
        sessions.of_client(tcp_client(number), 7, 59_999).unwrap();
    }
    let (port, session) = sessions.of_client(tcp_client(4), 7, 60_000).unwrap();
    assert_eq!((port, session.backend), (ports[0], None));
    assert!(sessions.of_client(tcp_client(5), 7, 60_001).is_none());
    sessions.of_port(ports[2]).unwrap().ends = true;
    assert!(sessions.of_client(tcp_client(5), 7, 61_998).is_none());
    assert_eq!(
        sessions.of_client(tcp_client(5), 7, 61_999).unwrap().0,
        ports[2]
    );
}

/// A balancer that has found `count` backends at time 0.
fn balancer(count: usize) -> Balancer {
    let backends: Vec<_> = (0..count).map(backend).collect();
    let mut balancer = Balancer::new(SERVICE, US, &backends, 3000);
    greet(&mut balancer, 0..count, 0);
    balancer
}

/// Lets backends answer the question for them.
fn greet(balancer: &mut Balancer, backends: impl Iterator<Item = usize>, now: u64) {
    let probes: Vec<_> = balancer.probes().collect();
    for number in backends {
        let mut reply = probes[number];
        let (arp, _) = Arp::parse_mut(&mut reply[Ethernet::LEN..]).unwrap();
        assert_eq!(
            (arp.target_ip(), arp.sender_ip()),
            (*backend(number).ip(), *SERVICE.ip())
        );
        arp.into_reply(mac(number));
        assert!(!balancer.handle(&mut reply, now));
    }
    balancer.update_backends(now);
}

fn question(number: u16, protocol: IpProtocol) -> Vec<u8> {
    let mut frame = frames::datagram(protocol, client(number).into(), SERVICE.into(), 30);
    frames::address(&mut frame, frames::SENDER, US);
    frame
}

/// The port that the balancer uses towards a backend, and which backend that is.
fn passed_on(frame: &[u8]) -> (u16, usize) {
    let key = FlowKey::parse(frame);
    let (_, to) = key.addresses().unwrap();
    let number = (0..9).find(|&number| to == *backend(number).ip()).unwrap();
    (key.ports().unwrap().0, number)
}

#[test]
fn questions_and_answers_are_rewritten_with_right_checksums() {
    for protocol in [IpProtocol::TCP, IpProtocol::UDP] {
        let mut balancer = balancer(3);
        for asker in 0..100 {
            let mut frame = question(asker, protocol);
            if protocol == IpProtocol::TCP && asker % 2 == 0 {
                frames::leave_checksum(&mut frame);
            }
            assert!(balancer.handle(&mut frame, 1));
            let (port, number) = passed_on(&frame);
            let ours = SocketAddrV4::new(*SERVICE.ip(), port);
            let there = backend(number);
            let mut expected = frames::datagram(protocol, ours.into(), there.into(), 30);
            frames::address(&mut expected, US, mac(number));
            assert!(frame == expected);

            let mut answer = frames::datagram(protocol, there.into(), ours.into(), 99);
            frames::address(&mut answer, mac(number), US);
            assert!(balancer.handle(&mut answer, 2));
            let home = client(asker);
            let mut expected = frames::datagram(protocol, SERVICE.into(), home.into(), 99);
            frames::address(&mut expected, US, frames::SENDER);
            assert!(answer == expected);
        }
    }
}

#[test]
fn what_is_none_of_its_business_goes_nowhere() {
    let mut balancer = balancer(2);
    let mut frame = question(1, IpProtocol::UDP);
    assert!(balancer.handle(&mut frame, 0));
    let (port, number) = passed_on(&frame);
    let ours = SocketAddrV4::new(*SERVICE.ip(), port);
    let mut refused = |protocol, from: SocketAddrV4, to: SocketAddrV4, mac| {
        let mut frame = frames::datagram(protocol, from.into(), to.into(), 9);
        frames::address(&mut frame, frames::SENDER, mac);
        let before = frame.clone();
        assert!(!balancer.handle(&mut frame, 0), "{from} > {to}");
        assert!(frame == before);
    };
    // To another card, address or port, by another protocol, from somebody else, without a session.
    refused(IpProtocol::UDP, client(2), SERVICE, MacAddr([2; 6]));
    refused(IpProtocol::UDP, client(2), backend(0), US);
    refused(
        IpProtocol::UDP,
        client(2),
        SocketAddrV4::new(*SERVICE.ip(), 81),
        US,
    );
    refused(IpProtocol::ICMP, client(2), SERVICE, US);
    refused(IpProtocol::TCP, backend(number), ours, US);
    refused(IpProtocol::UDP, backend(1 - number), ours, US);
    refused(IpProtocol::UDP, client(2), ours, US);
    let unused = SocketAddrV4::new(*SERVICE.ip(), port ^ 1);
    refused(IpProtocol::UDP, backend(number), unused, US);
    // Later fragments have no ports.
    let mut fragment = question(3, IpProtocol::UDP);
    fragment[14 + 7] = 1;
    for frame in [&mut fragment[..], &mut [0; 9], &mut []] {
        assert!(!balancer.handle(frame, 0));
    }
    let report = balancer.report(0).to_string();
    assert!(report.contains("session over 1, ignored 10"), "{report}");
}

#[test]
fn flows_of_a_silent_backend_move_and_the_others_stay() {
    let mut balancer = balancer(3);
    let ask = |balancer: &mut Balancer, now| -> Vec<Option<(u16, usize)>> {
        let asked = (0..300).map(|asker| {
            let mut frame = question(asker, IpProtocol::UDP);
            balancer.handle(&mut frame, now).then(|| passed_on(&frame))
        });
        asked.collect()
    };
    let first = ask(&mut balancer, 10);
    assert!(first.iter().all(Option::is_some));
    greet(&mut balancer, [0, 2].into_iter(), 2999);
    assert_eq!(ask(&mut balancer, 2999), first);
    let (news, probe) = balancer.update_backends(3000);
    assert_eq!(news, ["10.0.0.12:8080 is down"]);
    assert!(!probe && balancer.update_backends(3999).1 && !balancer.update_backends(4000).1);
    let second = ask(&mut balancer, 3001);
    let mut moved = 0;
    for (first, second) in first.iter().zip(&second) {
        let ((port, before), (same_port, after)) = (first.unwrap(), second.unwrap());
        assert_eq!(port, same_port);
        match before {
            1 => assert_ne!(after, 1),
            _ => assert_eq!(before, after),
        }
        moved += usize::from(before == 1);
    }
    assert!(moved > 50);
    let report = balancer.report(3001).to_string();
    assert!(
        report.contains(&format!("flows moved {moved},")),
        "{report}"
    );
    // Connections that have moved stay where they are when it comes back.
    greet(&mut balancer, [0, 1, 2].into_iter(), 5000);
    assert_eq!(ask(&mut balancer, 5001), second);

    let (news, _) = balancer.update_backends(9000);
    assert_eq!(news.len(), 3);
    assert!(ask(&mut balancer, 9000).iter().all(Option::is_none));
    let report = balancer.report(9000).to_string();
    assert!(report.contains("no backend 300,"), "{report}");
}

#[test]
fn those_who_look_for_the_service_find_it() {
    let mut balancer = balancer(1);
    let mut request = frames::arp(ArpOperation::REQUEST);
    assert!(balancer.handle(&mut request, 0));
    let (ethernet, payload) = Ethernet::parse(&request).unwrap();
    let (arp, _) = Arp::parse(payload).unwrap();
    assert_eq!(
        (ethernet.source(), ethernet.destination()),
        (US, frames::SENDER)
    );
    assert_eq!(arp.operation(), ArpOperation::REPLY);
    assert_eq!((arp.sender_mac(), arp.sender_ip()), (US, *SERVICE.ip()));
    let mut other = frames::arp(ArpOperation::REPLY);
    assert!(!balancer.handle(&mut other, 0));
}

//! What a person should know of packets that do not come to a socket as they were sent, or do not come to it at all.

use super::FluxBuilder;
use crate::kernel::{Backend, Interface, Steering};

impl FluxBuilder {
    /// The notes for the report of a socket that this makes.
    pub(super) fn notes(
        &self,
        interface: &Interface,
        steering: Option<&dyn Steering>,
    ) -> Vec<String> {
        if !self.receives() {
            return Vec::new();
        }
        let opened = match self.queues.as_slice() {
            [] => &[self.socket.queue],
            queues => queues,
        };
        let mode = steering.and_then(Steering::xdp_mode);
        let backend = self.link.backend();
        let others = other_queues(interface, backend, opened);
        let mut notes: Vec<String> = others.into_iter().collect();
        notes.extend(backend.notes(mode.map(|answer| answer.achieved)));
        notes
    }
}

/// That there are more queues than the opened ones.
fn other_queues(interface: &Interface, backend: &dyn Backend, opened: &[u32]) -> Option<String> {
    let count = interface.rx_queues?;
    let others: Vec<String> = (0..count)
        .filter(|queue| !opened.contains(queue))
        .map(|queue| queue.to_string())
        .collect();
    let name = &interface.name;
    if others.is_empty() {
        return None;
    }
    let others = others.join(", ");
    let one = backend.queues_advice(name, "1");
    Some(format!(
        "{name} has {count} receive queues: packets of queues {others} do not come here, but go to other sockets or to the kernel's network stack; \
         open all queues (build_queues, fluxcap_open_queues()), or leave one: {one}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::machine;
    use crate::sim::Network;

    #[test]
    fn queues_without_a_socket_are_named() {
        let interface = |rx_queues| Interface {
            name: "eth0".to_owned(),
            index: 2,
            mtu: 1500,
            up: true,
            rx_queues,
            mac: None,
        };
        let machine = machine::by_name("eth0");
        let note =
            |rx_queues, opened: &[u32]| other_queues(&interface(rx_queues), &*machine, opened);
        assert_eq!(note(Some(1), &[0]), None);
        assert_eq!(note(None, &[0]), None);
        assert_eq!(note(Some(4), &[0, 1, 2, 3]), None);
        let some = note(Some(4), &[1]).unwrap();
        assert!(some.contains("has 4 receive queues"), "{some}");
        assert!(some.contains("queues 0, 2, 3 do not come"), "{some}");
        assert!(some.contains("ethtool -L eth0 combined 1"), "{some}");
        let simulated = Network::new().nic("eth0").unwrap().backend();
        let some = other_queues(&interface(Some(4)), &*simulated, &[1]).unwrap();
        assert!(
            some.ends_with(
                "leave one: fluxcap_sim_nic_set_queues(), or set_queues of the NIC in Rust"
            ),
            "{some}"
        );
    }
}

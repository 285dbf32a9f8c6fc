//! Several sockets on one queue of a veth interface.

use fluxcap::{FluxBuilder, XdpMode};

use super::net::in_namespace;
use super::traffic::small;
use crate::group;

/// Runs a scenario on a veth pair, with the XDP program in the driver and in the network stack.
fn on_pair(scenario: fn(&FluxBuilder, &FluxBuilder)) {
    for mode in [XdpMode::Native, XdpMode::Generic] {
        in_namespace(move || scenario(&small("near").xdp_mode(mode), &small("far")));
    }
}

#[test]
fn each_flow_has_its_socket() {
    on_pair(group::each_flow_has_its_socket);
}

#[test]
fn both_directions_have_one_socket() {
    on_pair(group::both_directions_have_one_socket);
}

#[test]
fn members_work_on_threads_of_their_own() {
    on_pair(group::members_work_on_threads_of_their_own);
}

#[test]
fn sockets_are_closed_in_any_order() {
    on_pair(group::sockets_are_closed_in_any_order);
}

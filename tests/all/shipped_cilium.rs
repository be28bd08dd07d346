//! The labs of the published network prove themselves: each check fails when what it checks is broken by hand.

use crate::common;
use crate::common::breaking;

use breaking::break_each;

#[test]
fn cilium_bgp() {
    if !common::has_frr() {
        return;
    }
    const UP: &str = "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor net0 shutdown' -c 'no neighbor net1 shutdown'";
    const RACK_0_DOWN: &str = "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor net0 shutdown'";
    const RACK_1_DOWN: &str = "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor net1 shutdown'";
    break_each(
        "cilium-bgp",
        &[
            (
                "the spine has every network, and has redistributed or heard all of them",
                ["router0", RACK_0_DOWN],
                ["router0", UP],
            ),
            (
                "rack 0 announces itself to the spine",
                ["tor0", "ip link set net1 down"],
                ["tor0", "ip link set net1 up"],
            ),
            (
                "rack 1 announces itself to the spine",
                ["tor1", "ip link set net1 down"],
                ["tor1", "ip link set net1 up"],
            ),
            (
                "a rack learns the rest",
                [
                    "router0",
                    "ip link add spare type bridge; ip address add 10.0.9.1/24 dev spare; ip link set spare up",
                ],
                ["router0", "ip link delete spare"],
            ),
            (
                "the spine shows interfaces, the racks the spine's name",
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'bgp default show-hostname'",
                ],
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no bgp default show-hostname'",
                ],
            ),
            (
                "a rack's router names the spine",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no bgp default show-hostname'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'bgp default show-hostname'",
                ],
            ),
            (
                "rack 0 waits for its servers",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "rack 1 waits for its servers",
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'neighbor 10.0.3.2 shutdown'",
                ],
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'no neighbor 10.0.3.2 shutdown'",
                ],
            ),
            (
                "the racks reach each other",
                ["router0", RACK_1_DOWN],
                ["router0", UP],
            ),
            (
                "the spine has every node's pod network too",
                ["router0", RACK_0_DOWN],
                ["router0", UP],
            ),
            (
                "a rack's router learns and tells more",
                [
                    "router0",
                    "ip link add spare type bridge; ip address add 10.0.9.1/24 dev spare; ip link set spare up",
                ],
                ["router0", "ip link delete spare"],
            ),
            (
                "10.0.1.2 announces its pods' network to tor0",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "10.0.2.2 announces its pods' network to tor0",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor 10.0.2.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor 10.0.2.2 shutdown'",
                ],
            ),
            (
                "10.0.3.2 announces its pods' network to tor1",
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'neighbor 10.0.3.2 shutdown'",
                ],
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'no neighbor 10.0.3.2 shutdown'",
                ],
            ),
            (
                "10.0.4.2 announces its pods' network to tor1",
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'neighbor 10.0.4.2 shutdown'",
                ],
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65011' -c 'no neighbor 10.0.4.2 shutdown'",
                ],
            ),
            (
                "a rack's router names its servers",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no bgp default show-hostname'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'bgp default show-hostname'",
                ],
            ),
            (
                "what Cilium learns is not the kernel's",
                ["server0", "ip route add 10.9.0.0/16 via 10.0.1.1 proto bgp"],
                ["server0", "ip route delete 10.9.0.0/16"],
            ),
            (
                "pods reach each other across the racks",
                ["server3", "ip route delete 10.1.3.2/32"],
                ["server3", "ip route add 10.1.3.2/32 dev lxc0"],
            ),
            (
                "a pod reaches the outside by way of router0",
                ["server2", "ip link set lxc0 down"],
                [
                    "server2",
                    "ip link set lxc0 up; ip route add 10.1.2.2/32 dev lxc0",
                ],
            ),
        ],
    );
}

#[test]
fn all_ibgp() {
    if !common::has_frr() {
        return;
    }
    break_each(
        "all-ibgp",
        &[
            (
                "a rack's router knows the pods of its rack",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "so does the other's",
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor 10.0.3.2 shutdown'",
                ],
                [
                    "tor1",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor 10.0.3.2 shutdown'",
                ],
            ),
            (
                "the spine knows the racks' own networks",
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor net0 shutdown'",
                ],
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor net0 shutdown'",
                ],
            ),
            (
                "the spine learns no pod route",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'address-family ipv4 unicast' -c 'neighbor SERVERS route-reflector-client'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'address-family ipv4 unicast' -c 'no neighbor SERVERS route-reflector-client'",
                ],
            ),
        ],
    );
}

#[test]
fn all_ibgp_reflector() {
    if !common::has_frr() {
        return;
    }
    break_each(
        "all-ibgp-reflector",
        &[
            (
                "everybody knows all pods",
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor net0 shutdown'",
                ],
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor net0 shutdown'",
                ],
            ),
            (
                "a reflected route says who began it, and who passed it on",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "packets to the pods of the other rack go by the spine",
                ["tor0", "ip route add 10.1.2.1/32 via 10.0.1.2"],
                ["tor0", "ip route delete 10.1.2.1/32"],
            ),
        ],
    );
}

#[test]
fn cilium_bgp_v2() {
    if !common::has_frr() {
        return;
    }
    break_each(
        "cilium-bgp-v2",
        &[
            (
                "the spine knows the pods' networks and the service",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "and the pods' networks of IPv6",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor fd00:0:1::2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor fd00:0:1::2 shutdown'",
                ],
            ),
            (
                "the service has its community, from both racks",
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'neighbor net0 shutdown'",
                ],
                [
                    "router0",
                    "vtysh -c 'conf t' -c 'router bgp 65000' -c 'no neighbor net0 shutdown'",
                ],
            ),
            (
                "a rack has both servers' word for the service",
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'neighbor 10.0.1.2 shutdown'",
                ],
                [
                    "tor0",
                    "vtysh -c 'conf t' -c 'router bgp 65010' -c 'no neighbor 10.0.1.2 shutdown'",
                ],
            ),
            (
                "the racks reach each other by IPv6",
                ["server0", "ip -6 route delete default"],
                ["server0", "ip -6 route add default via fd00:0:1::1"],
            ),
        ],
    );
}

#[test]
fn interop_gobgp() {
    if !common::has_frr() || !common::has("gobgpd") {
        return;
    }
    const WITHDRAW_0: &str = "gobgp global rib del 10.1.0.0/24";
    const ANNOUNCE_0: &str = "gobgp global rib add 10.1.0.0/24 origin igp";
    break_each(
        "interop-gobgp",
        &[
            (
                "the spine has every network",
                ["server0", WITHDRAW_0],
                ["server0", ANNOUNCE_0],
            ),
            (
                "the pods' networks come from where they are",
                ["server2", "gobgp global rib add 10.1.2.0/24 origin egp"],
                ["server2", "gobgp global rib add 10.1.2.0/24 origin igp"],
            ),
            (
                "server0 announces its pods",
                ["server0", WITHDRAW_0],
                ["server0", ANNOUNCE_0],
            ),
            (
                "server1 announces its pods",
                ["server1", "gobgp global rib del 10.1.1.0/24"],
                ["server1", "gobgp global rib add 10.1.1.0/24 origin igp"],
            ),
            (
                "rack 0 learns the other",
                ["server2", "gobgp global rib del 10.1.2.0/24"],
                ["server2", "gobgp global rib add 10.1.2.0/24 origin igp"],
            ),
            (
                "server2 announces its pods",
                ["server2", "gobgp global rib del 10.1.2.0/24"],
                ["server2", "gobgp global rib add 10.1.2.0/24 origin igp"],
            ),
            (
                "server3 announces its pods",
                ["server3", "gobgp global rib del 10.1.3.0/24"],
                ["server3", "gobgp global rib add 10.1.3.0/24 origin igp"],
            ),
            (
                "rack 1 learns the other",
                ["server0", WITHDRAW_0],
                ["server0", ANNOUNCE_0],
            ),
            (
                "the kernel of a rack's router leads to its pods",
                ["server0", WITHDRAW_0],
                ["server0", ANNOUNCE_0],
            ),
            (
                "a pod reaches one in the other rack",
                ["server0", WITHDRAW_0],
                ["server0", ANNOUNCE_0],
            ),
        ],
    );
}

//! Routers of a lab start at the same time, or after each other: their sessions come up once both are there.

use crate::common;

use std::time::{Duration, Instant};

use common::{Lab, has_frr, until};

/// Well below `timers connect`, which is two minutes.
const SOON: Duration = Duration::from_secs(20);

/// The engines of the hub and of its neighbors that this host has.
fn engines() -> Vec<(&'static str, &'static str)> {
    let all = [
        ("builtin", "builtin"),
        ("frr", "frr"),
        ("builtin", "frr"),
        ("frr", "builtin"),
    ];
    let mut all = all.to_vec();
    all.truncate(if has_frr() { 4 } else { 1 });
    all
}

/// A hub whose neighbors all have to dial, as it is passive or does not know them; `more` are further lines of its table.
fn hub((engine, others): (&str, &str), more: &str) -> String {
    let spokes = [
        ("addressed", "10.0.1", ""),
        ("signed", "10.0.2", "password secret"),
        ("near", "10.0.3", "ttl-security hops 1"),
        ("far", "10.0.4", "ebgp-multihop 3"),
    ];
    let mut text = format!("name = \"{engine}-{others}\"\n");
    let (mut addresses, mut neighbors) = (String::new(), String::new());
    for (node, network, setting) in spokes {
        let session = |at: u8| match setting {
            "" => String::new(),
            setting => format!(" neighbor {network}.{at} {setting}\n"),
        };
        addresses += &format!("{node} = [\"{network}.1/24\"], ");
        neighbors += &format!(
            " neighbor {network}.2 remote-as 65001\n neighbor {network}.2 passive\n{}",
            session(2)
        );
        text += &format!(
            "[nodes.{node}]\nkind = \"router\"\nengine = \"{others}\"\naddresses = {{ hub = [\"{network}.2/24\"] }}\nconfig = '''\n\
             router bgp 65001\n neighbor {network}.1 remote-as 65000\n{}'''\n\
             [[links]]\nendpoints = [\"hub:{node}\", \"{node}:hub\"]\n",
            session(1)
        );
    }
    // One that is known by its interface alone.
    text += &format!(
        "[nodes.unnumbered]\nkind = \"router\"\nengine = \"{others}\"\nconfig = '''\nrouter bgp 65001\n bgp router-id \
         10.0.5.2\n neighbor hub interface remote-as external\n'''\n[[links]]\nendpoints = [\"hub:unnumbered\", \"unnumbered:hub\"]\n"
    );
    neighbors += " neighbor unnumbered interface remote-as external\n neighbor unnumbered passive\n";
    // One that is known by its network, and one that says from where it dials, of which the hub says nothing.
    text += &format!(
        "[nodes.ranged]\nkind = \"router\"\nengine = \"{others}\"\naddresses = {{ hub = [\"10.0.6.2/24\"] }}\nconfig = '''\n\
         router bgp 65001\n neighbor 10.0.6.1 remote-as 65000\n'''\n[[links]]\nendpoints = [\"hub:ranged\", \"ranged:hub\"]\n\
         [nodes.sourced]\nkind = \"router\"\nengine = \"{others}\"\n\
         addresses = {{ lo = [\"10.0.8.1/32\"], hub = [\"10.0.7.2/24\"] }}\n\
         routes = [{{ to = \"10.0.9.1/32\", via = \"10.0.7.1\" }}]\nconfig = '''\n\
         router bgp 65001\n neighbor 10.0.9.1 remote-as 65000\n neighbor 10.0.9.1 update-source lo\n \
         neighbor 10.0.9.1 ebgp-multihop 2\n'''\n[[links]]\nendpoints = [\"hub:sourced\", \"sourced:hub\"]\n"
    );
    addresses += "lo = [\"10.0.9.1/32\"], ranged = [\"10.0.6.1/24\"], sourced = [\"10.0.7.1/24\"]";
    neighbors += " neighbor RANGE peer-group\n neighbor RANGE remote-as 65001\n bgp listen range 10.0.6.0/24 peer-group RANGE\n \
        neighbor 10.0.8.1 remote-as 65001\n neighbor 10.0.8.1 ebgp-multihop 2\n";
    text += &format!(
        "[nodes.hub]\nkind = \"router\"\nengine = \"{engine}\"\n{more}\nroutes = [{{ to = \"10.0.8.1/32\", via = \"10.0.7.2\" }}]\naddresses = {{ {addresses} }}\nconfig = '''\nrouter bgp \
         65000\n{neighbors}'''\n"
    );
    text
}

fn are_up(lab: &Lab) -> bool {
    let line = "vtysh -c 'show bgp summary json' | grep -c '\"state\":\"Established\"'; true";
    lab.sh("hub", line).trim() == "7"
}

fn come_up_soon(lab: &Lab) {
    let began = Instant::now();
    until("all sessions", || are_up(lab));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn sessions_come_up_whoever_listens_first() {
    for engines in engines() {
        let lab = Lab::up(&hub(engines, ""));
        come_up_soon(&lab);
        // A router that starts again is dialed again as soon, though it listens only after a while.
        lab.ok(["restart", "hub"]);
        come_up_soon(&lab);
    }
}

#[test]
fn sessions_with_a_router_that_starts_late_come_up_once_it_is_there() {
    let waits = "wait_for = [\"addressed\", \"signed\", \"near\", \"far\", \"unnumbered\", \"ranged\", \"sourced\"]\n\
                 startup_delay = \"5s\"";
    for engines in engines() {
        let lab = Lab::up(&hub(engines, waits));
        come_up_soon(&lab);
    }
}

#[test]
fn a_dial_is_no_change_of_configuration() {
    if !has_frr() {
        return;
    }
    let lab = Lab::up(&hub(("builtin", "frr"), "startup_delay = \"3s\""));
    come_up_soon(&lab);
    let running = lab.sh("addressed", "vtysh -c 'show running-config'");
    let own = running.lines().filter(|line| line.contains("neighbor")).count();
    assert_eq!(own, 1, "{running}");
}

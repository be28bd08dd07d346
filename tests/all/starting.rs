//! Routers of a lab start at the same time, or after each other: their sessions come up once both are there.

use crate::common;

use std::time::{Duration, Instant};

use common::{Lab, until};

/// Well below `timers connect`, which is two minutes.
const SOON: Duration = Duration::from_secs(20);

/// A hub whose neighbors all have to dial, as it is passive; `more` are further lines of its table.
fn hub(name: &str, more: &str) -> String {
    let spokes = [
        ("addressed", "10.0.1", ""),
        ("signed", "10.0.2", "password secret"),
        ("near", "10.0.3", "ttl-security hops 1"),
        ("far", "10.0.4", "ebgp-multihop 3"),
    ];
    let mut text = format!("name = \"{name}\"\n");
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
            "[nodes.{node}]\nkind = \"router\"\nengine = \"builtin\"\naddresses = {{ hub = [\"{network}.2/24\"] }}\nconfig = '''\n\
             router bgp 65001\n neighbor {network}.1 remote-as 65000\n{}'''\n\
             [[links]]\nendpoints = [\"hub:{node}\", \"{node}:hub\"]\n",
            session(1)
        );
    }
    // One that is known by its interface alone.
    text += "[nodes.unnumbered]\nkind = \"router\"\nengine = \"builtin\"\nconfig = '''\nrouter bgp 65001\n bgp \
         router-id 10.0.5.2\n neighbor hub interface remote-as external\n'''\n[[links]]\nendpoints = [\"hub:unnumbered\", \"unnumbered:hub\"]\n";
    neighbors += " neighbor unnumbered interface remote-as external\n neighbor unnumbered passive\n";
    text += &format!(
        "[nodes.hub]\nkind = \"router\"\nengine = \"builtin\"\n{more}\naddresses = {{ {addresses} }}\nconfig = '''\nrouter bgp \
         65000\n{neighbors}'''\n"
    );
    text
}

fn are_up(lab: &Lab) -> bool {
    let line = "vtysh -c 'show bgp summary json' | grep -c '\"state\":\"Established\"'; true";
    lab.sh("hub", line).trim() == "5"
}

fn come_up_soon(lab: &Lab) {
    let began = Instant::now();
    until("all sessions", || are_up(lab));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn sessions_come_up_whoever_listens_first() {
    let lab = Lab::up(&hub("race", ""));
    come_up_soon(&lab);
    // A router that starts again is dialled again as soon, though it listens only after a while.
    lab.ok(["restart", "hub"]);
    come_up_soon(&lab);
}

#[test]
fn sessions_with_a_router_that_starts_late_come_up_once_it_is_there() {
    let waits =
        "wait_for = [\"addressed\", \"signed\", \"near\", \"far\", \"unnumbered\"]\nstartup_delay = \"5s\"";
    let lab = Lab::up(&hub("late", waits));
    come_up_soon(&lab);
}

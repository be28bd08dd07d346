//! Links, flows, timelines, captures and scenarios in labs of users who are not root.

use crate::common;
use crate::rootless::{User, can};

use common::until;

const PAIR: &str = r#"
name = "pair"
[defaults]
kind = "host"
[nodes.a]
addresses = { eth0 = ["10.0.0.1/24"] }
[nodes.b]
addresses = { eth0 = ["10.0.0.2/24"] }
[[links]]
endpoints = ["a:eth0", "b:eth0"]
[[flows]]
name = "f"
from = "a"
to = "b"
pps = 100
start = false
[[scenarios]]
name = "cut"
flows = "f"
steps = [{ wait = "300ms" }, { link_down = "a:eth0" }, { wait = "300ms" }, { link_up = "a:eth0" }, { wait = "500ms" }]
expect = { outage = "20s", routes_as_before = true }
"#;

#[test]
fn users_break_their_own_labs_and_measure() {
    if !can() {
        return;
    }
    let user = User::new(PAIR);
    user.ok("nslab up -d $FILE >&2");
    // Loss, rate and the carrier need no device.
    user.ok("nslab link set a:eth0 --loss 100% --out");
    assert_ne!(user.sh("nslab exec a ping -c2 -i 0.1 -W1 10.0.0.2").code, 0);
    user.ok("nslab link set a:eth0 --rate 10mbit");
    // The neighbor's address could not be found out either, and the kernel tries that again each second.
    until("an answer", || {
        user.sh("nslab exec a ping -c1 -W1 10.0.0.2").code == 0
    });
    user.ok("nslab link down a:eth0");
    assert!(user.ok("nslab exec b ip link show eth0").contains("NO-CARRIER"));
    user.ok("nslab link up a:eth0 && nslab link reset a:eth0");
    // A delay needs /dev/net/tun where there is no netem: it is done, or refused by name.
    let delayed = user.sh("nslab link set a:eth0 --delay 30ms");
    match delayed.code {
        0 => {
            let out = user.ok("nslab exec a ping -c3 -i 0.1 10.0.0.2");
            assert!(out.contains("time=6") || out.contains("time=7"), "{out}");
            user.ok("nslab link clear a:eth0");
        }
        _ => assert!(
            delayed.err.contains("a:eth0") && delayed.err.contains("/dev/net/tun"),
            "{}",
            delayed.err
        ),
    }
    user.ok("nslab flow start f && sleep 1 && nslab flow stop f");
    let shown = user.ok("nslab flow show f --format json");
    assert!(
        shown.contains("\"lost\":0") || shown.contains("\"lost\": 0"),
        "{shown}"
    );
    user.ok("nslab timeline mark here && nslab exec a ip route add 192.0.2.0/24 dev eth0");
    until("the route in the timeline", || {
        user.ok("nslab timeline --since here")
            .contains("gained 192.0.2.0/24")
    });
    let played = user.ok("nslab scenario run cut");
    assert!(played.contains("ok    scenario cut"), "{played}");
    user.ok("nslab down");
    until("the end of all processes", || user.processes().is_empty());
}

//! Timelines of large labs: heard from when somebody looks, or the lab has come to rest.

use crate::common;

use std::fmt::Write as _;

use common::{Lab, until};

#[test]
fn a_large_lab_is_heard_when_somebody_looks() {
    let mut text = "name = \"large\"\n[defaults]\nkind = \"host\"\n".to_owned();
    for n in 0..70 {
        writeln!(text, "[nodes.n{n}]\naddresses = {{ eth0 = [\"10.0.{n}.1/24\"] }}").unwrap();
    }
    for n in (0..70).step_by(2) {
        writeln!(
            text,
            "[[links]]\nendpoints = [\"n{n}:eth0\", \"n{}:eth0\"]",
            n + 1
        )
        .unwrap();
    }
    let lab = Lab::up(&text);
    lab.sh("n33", "ip route add 192.0.2.0/24 dev eth0");
    lab.ok(["timeline", "mark", "here"]);
    lab.sh("n33", "ip route add 198.51.100.0/24 dev eth0");
    lab.sh("n33", "ip route del 192.0.2.0/24");
    until("both changes", || {
        let told = lab.ok(["timeline", "--since", "here"]);
        told.contains("gained 198.51.100.0/24 via eth0") && told.contains("lost 192.0.2.0/24 via eth0")
    });
    // What was there before it was heard is known, and no change of its.
    let all = lab.ok(["timeline", "--since", "start", "--node", "n33"]);
    assert!(!all.contains("gained 192.0.2.0/24"), "{all}");
    assert!(!all.contains("not heard"), "{all}");
}

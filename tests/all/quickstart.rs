//! The first lab comes up, its hosts find each other by name, and it goes without a trace.

use crate::common;

use common::{Lab, in_package};

#[test]
fn hosts_reach_each_other_by_name_and_nothing_is_left() {
    let lab = Lab::of_file(&in_package("labs/quickstart.toml"));
    let said = lab.ok(["up", "-d", lab.file()]);
    assert!(said.contains("lab quickstart is ready in "), "{said}");
    assert!(said.contains("nslab down quickstart"), "{said}");

    // Over the switch, and a routed hop further, in both families.
    for (from, to) in [
        ("a", "b"),
        ("c", "a"),
        ("a", "r"),
        ("b", "server"),
        ("server", "c"),
    ] {
        for family in ["-4", "-6"] {
            lab.ok(["exec", from, "ping", family, "-c1", "-W5", to]);
        }
    }
    let route = lab.ok(["exec", "a", "ip", "route", "get", "10.0.2.2"]);
    assert!(route.contains("via 10.0.1.1"), "{route}");
    for node in ["a", "b", "c", "sw", "r", "server"] {
        assert_eq!(lab.ok(["exec", node, "hostname"]).trim(), node);
        assert_eq!(lab.node(node)["stage"], "ready");
    }
    assert!(
        lab.ok(["exec", "r", "ip", "link", "show", "dmz"])
            .contains("mtu 9000")
    );

    let traces = lab.traces("quickstart");
    assert!(traces.processes() > 6 && traces.cgroups() > 6, "{traces:?}");
    let said = lab.ok(["down"]);
    assert_eq!(said, "lab quickstart is down\n");
    traces.gone();
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn nothing_of_a_lab_is_on_the_host() {
    let lab = Lab::of_file(&in_package("labs/quickstart.toml")).on(common::Host::new());
    let host = || {
        let links = lab.host().ip(["-br", "link"]);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let ours = mounts.lines().filter(|line| line.contains("nslab-test-")).count();
        (links, lab.host().ip(["route"]), ours)
    };
    let before = host();
    lab.ok(["up", "-d", lab.file()]);
    assert_eq!(host(), before);
    lab.ok([
        "exec",
        "a",
        "sh",
        "-c",
        "echo x > /etc/only-in-the-lab; echo x > /tmp/only-in-the-lab",
    ]);
    for path in ["/etc/only-in-the-lab", "/tmp/only-in-the-lab"] {
        assert!(!std::path::Path::new(path).exists());
    }
    lab.ok(["exec", "b", "test", "!", "-e", "/etc/only-in-the-lab"]);
    lab.ok(["down"]);
    assert_eq!(host(), before);
}

//! Labs beside each other, after each other, and under the same name.

use crate::common;

use common::{Lab, PAIR, Running};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

#[test]
fn detached_labs_are_listed_and_taken_down_together() {
    let lab = Lab::new(PAIR);
    assert_eq!(lab.ok(["labs"]), "no lab is running\n");
    assert_eq!(
        lab.json(["labs", "--format", "json"]),
        Value::from(Vec::<Value>::new())
    );
    lab.run(["down"]).refused(2, &["no lab is running"]);
    assert_eq!(lab.ok(["down", "--all"]), "no lab is running\n");
    lab.ok(["up", "-d", lab.file()]);

    let other = lab.path("other.toml");
    std::fs::write(&other, PAIR.replace("\"pair\"", "\"other\"")).unwrap();
    lab.ok(["up", "-d", other.to_str().unwrap()]);
    let table = lab.ok(["labs"]);
    let rows: Vec<&str> = table.lines().collect();
    assert!(
        rows.len() == 3 && rows[1].starts_with("other") && rows[2].starts_with("pair"),
        "{table}"
    );
    assert!(rows[2].contains(lab.file()), "{table}");
    let list = lab.json(["labs", "--format", "json"]);
    assert_eq!(
        (&list[0]["lab"], &list[1]["lab"]),
        (&Value::from("other"), &Value::from("pair"))
    );
    assert_eq!(
        (&list[1]["detached"], &list[1]["nodes"][0]),
        (&Value::from(true), &Value::from("a"))
    );

    let traces = [lab.traces("pair"), lab.traces("other")];
    lab.run(["down"])
        .refused(2, &["several labs are running: other, pair"]);
    lab.run(["down", "third"])
        .refused(2, &["no lab \"third\" is running", "running: other, pair"]);
    lab.ok(["down", "--all"]);
    assert!(lab.left().is_empty());
    for traces in traces {
        traces.gone();
    }
}

#[test]
fn labs_side_by_side_do_not_see_each_other() {
    let lab = Lab::up(PAIR);
    let other = lab.path("other.toml");
    // The same addresses; b answers to nothing here.
    std::fs::write(
        &other,
        PAIR.replace("\"pair\"", "\"other\"")
            .replace("[nodes.b]", "[nodes.c]")
            .replace("b:eth0", "c:eth0"),
    )
    .unwrap();
    lab.ok(["up", "-d", other.to_str().unwrap()]);
    lab.run(["exec", "a", "true"])
        .refused(125, &["node a stands in several labs: other, pair", "--lab"]);
    // What only one lab has needs no more words.
    lab.ok(["exec", "b", "true"]);
    lab.ok(["exec", "c", "true"]);
    let mac = |name, node| lab.ok(["exec", "--lab", name, node, "cat", "/sys/class/net/eth0/address"]);
    lab.ok(["exec", "--lab", "pair", "a", "ping", "-c1", "-W5", "10.0.0.2"]);
    lab.ok(["exec", "--lab", "other", "a", "ping", "-c1", "-W5", "10.0.0.2"]);
    let neighbor = |name| lab.ok(["exec", "--lab", name, "a", "ip", "neigh", "show", "10.0.0.2"]);
    assert!(neighbor("pair").contains(mac("pair", "b").trim()));
    assert!(neighbor("other").contains(mac("other", "c").trim()));
    assert_ne!(mac("pair", "b"), mac("other", "c"));
    lab.ok(["down", "other"]);
    lab.ok(["exec", "a", "ping", "-c1", "-W5", "b"]);
}

#[test]
fn a_lab_runs_once_unless_it_is_to_be_replaced() {
    let lab = Lab::up(PAIR);
    lab.run(["up", "-d", lab.file()]).refused(
        2,
        &["lab pair is running already", "--reconfigure", "nslab down pair"],
    );
    lab.run(["up", lab.file()])
        .refused(2, &["lab pair is running already"]);
    let traces = lab.traces("pair");
    std::fs::write(lab.file(), PAIR.replace("10.0.0.2/24", "10.0.0.3/24")).unwrap();
    lab.ok(["up", "-d", "--reconfigure", lab.file()]);
    lab.ok(["exec", "a", "ping", "-c1", "-W5", "10.0.0.3"]);
    lab.ok(["down"]);
    traces.gone();
    // Without a predecessor there is nothing to replace, and that is fine.
    lab.ok(["up", "-d", "--reconfigure", lab.file()]);
    // A file that cannot be used does not cost the lab its life.
    std::fs::write(lab.file(), PAIR.replace("10.0.0.2/24", "10.0.0.2/99")).unwrap();
    lab.run(["up", "-d", "--reconfigure", lab.file()])
        .refused(2, &["10.0.0.2/99"]);
    lab.ok(["exec", "a", "ping", "-c1", "-W5", "b"]);
}

#[test]
fn names_on_the_host_are_free_again_when_a_lab_is_down() {
    let lab = Lab::new(
        r#"
name = "outward"
[nodes.a]
kind = "host"
[nodes.b]
kind = "host"
[[links]]
type = "host"
endpoints = ["a:out"]
host_interface = "outward0"
[[links]]
type = "vxlan"
endpoints = ["b:out"]
vni = 7
remote = "192.0.2.1"
"#,
    )
    .on(common::Host::new());
    lab.ok(["up", "-d", lab.file()]);
    for _ in 0..10 {
        assert!(lab.host().ip(["-br", "link"]).contains("outward0"));
        lab.ok(["up", "-d", "--reconfigure", lab.file()]);
    }
    lab.ok(["down"]);
    assert!(!lab.host().ip(["-br", "link"]).contains("outward0"));
}

#[test]
fn of_many_who_start_the_same_lab_one_does() {
    let lab = Lab::new(PAIR);
    let mut all: Vec<Running> = (0..8).map(|_| lab.start(["up", "-d", lab.file()])).collect();
    let codes: Vec<i32> = all.iter_mut().map(|up| up.wait().code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| [0, 2].contains(code)), "{codes:?}");
    lab.ok(["exec", "a", "ping", "-c1", "-W5", "b"]);
}

#[test]
fn named_labs_are_known_to_ip_netns() {
    // The links are in /run/netns, which all tests share: a name of its own.
    let name = format!("named-{}", std::process::id());
    let lab = Lab::new(&PAIR.replace("\"pair\"", &format!("{name:?}")));
    let link = |node: &str| std::path::Path::new("/run/netns").join(format!("{name}-{node}"));
    let known = |node: &str| std::fs::symlink_metadata(link(node)).is_ok();
    for way in ["down", "kill"] {
        lab.ok(["up", "-d", "--named", lab.file()]);
        let told = common::run(
            lab.command("ip")
                .args(["-n", &format!("{name}-a"), "-br", "address"]),
        )
        .expect(0);
        assert!(told.contains("10.0.0.1/24"), "{told}");
        let traces = lab.traces(&name);
        if way == "down" {
            lab.ok(["down"]);
        } else {
            kill(lab.supervisor(&name), Signal::SIGKILL).unwrap();
            traces.gone();
            lab.ok(["gc"]);
        }
        assert!(!known("a") && !known("b"), "after {way}");
    }
    // What is not the lab's stays.
    std::fs::create_dir_all("/run/netns").unwrap();
    std::fs::write(link("b"), "").unwrap();
    let done = lab.run(["up", "-d", "--named", lab.file()]);
    lab.ok(["down"]);
    let stayed = known("b");
    std::fs::remove_file(link("b")).unwrap();
    assert!(stayed && !known("a"));
    assert!(
        done.err.contains("exists already and is not this lab's"),
        "{}",
        done.err
    );
}

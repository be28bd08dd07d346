//! `validate` finds all that is wrong, says each cause once, and says what to write instead.

use crate::common;

use std::fs;

use common::{Lab, has_frr};

/// A lab with one error, and what is said of it: how often something is wrong, and the cure.
const CASES: [(&str, &str); 14] = [
    (
        "[nodes.a]\nkind = \"host\"\nbind = [\"/tmp:/x\"]\n",
        "did you mean `binds`?",
    ),
    (
        "[nodes.a]\nkind = \"host\"\nvolumes = [\"/tmp:/x\"]\n",
        "did you mean `binds`?",
    ),
    (
        "[nodes.a]\nkind = \"host\"\ndepends_on = [\"b\"]\n",
        "did you mean `wait_for`?",
    ),
    ("[nodes.a]\ntype = \"host\"\n", "did you mean `kind`?"),
    (
        "[nodes.a]\nkind = \"host\"\nroutes = [\"10.1.0.0/16 via 10.0.0.2 dev eth0\"]\n",
        "`{ to = \"10.1.0.0/16\", via = \"10.0.0.2\", dev = \"eth0\" }`",
    ),
    (
        "[nodes.a]\nkind = \"host\"\nroutes = [\"ip route add blackhole 10.9.0.0/16\"]\n",
        "`{ to = \"10.9.0.0/16\", type = \"blackhole\" }`",
    ),
    (
        "[nodes.a]\nkind = \"host\"\nroutes = [\"whatever\"]\n",
        "to = \"default\"",
    ),
    (
        "[[links]]\n[\"a:eth0\", \"b:eth0\"]\n",
        "`endpoints = [\"a:eth0\", \"b:eth0\"]`",
    ),
    (
        "[[links]]\n- [\"a:eth0\", \"b:eth0\"]\n",
        "`endpoints = [\"a:eth0\", \"b:eth0\"]`",
    ),
    (
        "links = [[\"a:eth0\", \"b:eth0\"]]\n",
        "`endpoints = [\"a:eth0\", \"b:eth0\"]`",
    ),
    (
        "[[links]]\nendpoint = [\"a:eth0\", \"b:eth0\"]\n",
        "did you mean `endpoints`?",
    ),
    ("[nodes.a]\nkind: host\n", "TOML, not YAML: `kind = …`"),
    (
        "[nodes.a]\nkind = \"host\"\nbinds: /tmp:/x\n",
        "`binds = [\"data/:/data:ro\"]`",
    ),
    (
        "[nodes.a]\nkind = \"host\"\nexec:\n- ip link\n",
        "TOML, not YAML: `exec = …`",
    ),
];

#[test]
fn one_cause_is_one_error_with_its_cure() {
    let lab = Lab::new("");
    for (text, cure) in CASES {
        // Keys of the top stand before the first table.
        fs::write(lab.file(), format!("name = \"x\"\n{text}")).unwrap();
        let done = lab.run(["validate", lab.file()]);
        // Lines of help are wrapped.
        let said = done.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(cure), "{text}\nwants {cure}\n{}", done.err);
        assert!(
            done.err.contains("1 error in") || text.contains("exec:"),
            "{text}\n{}",
            done.err
        );
        done.refused(2, &[]);
    }
}

#[test]
fn what_is_no_lab_file_is_told_once() {
    let lab = Lab::new("");
    for verb in ["up", "validate"] {
        lab.run([verb, "/etc/passwd"])
            .refused(2, &["this is no lab file", "1 error in /etc/passwd"]);
    }
}

#[test]
fn routers_are_asked_about_as_well() {
    let text = r#"name = "x"
[nodes.b]
kind = "router"
engine = "builtin"
config = """
router bgp 65000
 nonsense
"""
[nodes.c]
kind = "router"
engine = "builtin"
config = { file = "c.conf" }
"#;
    let lab = Lab::new(text);
    fs::write(
        lab.path("c.conf"),
        "router bgp 65001\n neighbor 10.0.0.1 nonsense\n",
    )
    .unwrap();
    let engines: &[&str] = if has_frr() {
        &["builtin", "frr"]
    } else {
        &["builtin"]
    };
    for engine in engines {
        // With another error in the file, too.
        for kind in ["router", "rooter"] {
            let mut text = text.replace("\"builtin\"", &format!("{engine:?}"));
            if kind != "router" {
                text.push_str("[nodes.d]\nkind = \"rooter\"\n");
            }
            fs::write(lab.file(), text).unwrap();
            lab.run(["validate", lab.file()]).refused(
                2,
                // The lab file's own line, and that of the other file.
                &[
                    "configuration of b",
                    "| line 7:",
                    "configuration of c",
                    "c.conf line 2:",
                ],
            );
        }
    }
    lab.run(["up", lab.file()]).refused(2, &["cannot be `rooter`"]);
}

#[test]
fn several_topologies_are_several_labs() {
    let lab = Lab::new("");
    let topology =
        |name: &str| format!("name: {name}\ntopology:\n  nodes:\n    a: {{kind: linux, image: alpine}}\n");
    let here = |name: &str| lab.path(name).to_str().unwrap().to_owned();
    let (one, two, objects) = (here("one.yml"), here("two.yml"), here("objects.yml"));
    fs::write(&one, topology("one")).unwrap();
    fs::write(&two, topology("two")).unwrap();
    let said = lab.ok(["validate", &one, &two]);
    assert!(
        said.contains("lab one, 1 node, 0 links\n") && said.contains("lab two, 1 node, 0 links\n"),
        "{said}"
    );
    fs::write(&two, topology("two").replace("linux", "linus")).unwrap();
    lab.run(["validate", &one, &two]).refused(2, &["1 of 2 files"]);
    // With what belongs to one of them it is one lab.
    fs::write(
        &objects,
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: c\n",
    )
    .unwrap();
    let done = lab.run(["validate", &one, &objects]);
    assert!(!done.err.contains("of 2 files"), "{}", done.err);
}

/// An unknown key is one error: that nothing is asked follows from it.
#[test]
fn a_check_that_asks_by_an_unknown_key_is_one_error() {
    let check = |line: &str| {
        format!("name = \"x\"\n[nodes.a]\nkind = \"host\"\n[[checks]]\nname = \"c\"\nnode = \"a\"\n{line}\n")
    };
    for key in ["http", "comand", "pings", "exec"] {
        let lab = Lab::new(&check(&format!("{key} = \"true\"")));
        let done = lab.run(["validate", lab.file()]);
        done.refused(2, &[&format!("a check has no key `{key}`"), "1 error in"]);
    }
    let lab = Lab::new(&check("within = \"5s\""));
    lab.run(["validate", lab.file()])
        .refused(2, &["the check asks nothing", "1 error in"]);
}

#[test]
fn what_people_call_a_node_of_kubernetes_leads_to_k8s() {
    let lab = Lab::new("name = \"x\"\n[nodes.a]\nkind = \"kubernetes\"\n");
    lab.run(["validate", lab.file()]).refused(
        2,
        &["`kind` cannot be `kubernetes`", "kind = \"k8s\"", "lab.toml:3"],
    );
}

use super::*;
use crate::lab::model::{Content, Lab};
use crate::lab::sources::Memory;
use crate::lab::{Diagnostic, resolve};

fn file(place: &str, text: &str) -> File {
    File {
        place: place.to_owned(),
        text: Ok(text.to_owned()),
    }
}

fn load(text: &str, kinds: Vec<File>) -> Result<Lab, Vec<Diagnostic>> {
    let memory = Memory::default()
        .with("a.key", "key")
        .with("a.json", " {}")
        .with("a.cli", "set / x")
        .with_kinds(catalog(&kinds));
    resolve::load(text, &memory)
}

fn told(text: &str, kinds: Vec<File>) -> String {
    let diagnostics = load(text, kinds).unwrap_err();
    let told = diagnostics.iter().map(|diagnostic| {
        let help = diagnostic.help.as_deref().unwrap_or_default();
        format!("{}: {help}\n", diagnostic.message)
    });
    told.collect()
}

#[test]
fn what_nslab_brings_along_can_be_read() {
    for (name, text) in SHIPPED {
        let read = read(text, None);
        let kind = read.unwrap_or_else(|diagnostics| panic!("{name}: {diagnostics:#?}"));
        assert_eq!(kind.name, *name);
        assert!(!kind.summary.is_empty());
        let again = shipped(name).unwrap();
        assert_eq!(again, *text);
        for alias in &kind.aliases {
            assert_eq!(shipped(alias), Some(*text));
        }
    }
    let kinds = catalog(&[]);
    assert_eq!(kinds.known.len(), SHIPPED.len());
    assert!(kinds.broken.is_empty() && shipped("host").is_none());
}

#[test]
fn every_directory_entry_is_registered() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kinds/shipped");
    let count = std::fs::read_dir(directory).unwrap().count();
    assert_eq!(count, SHIPPED.len());
}

#[test]
fn the_nearest_of_a_name_is_meant() {
    let near = file("kinds/x.toml", "name = \"srl\"\nsummary = \"mine\"\n");
    let far = file(
        "/etc/x.toml",
        "name = \"x\"\naliases = [\"srl\", \"y\"]\nsummary = \"far\"\n",
    );
    let kinds = catalog(&[near, far]);
    assert_eq!(kinds.find("srl").unwrap().summary, "mine");
    assert_eq!(kinds.find("y").unwrap().summary, "far");
    assert_eq!(kinds.find("nokia_srlinux").unwrap().summary, "Nokia SR Linux");
}

#[test]
fn a_nearer_file_with_an_error_is_not_passed_over() {
    let broken = |place: &str| file(place, "name = 1");
    let kinds = catalog(&[
        broken("kinds/nokia_srlinux.toml"),
        file("/etc/x.toml", "name = \"x\""),
    ]);
    assert!(kinds.find("nokia_srlinux").is_none() && kinds.find("x").is_some());
    // One that is farther says nothing.
    let kinds = catalog(&[file("kinds/x.toml", "name = \"x\""), broken("/etc/x.toml")]);
    assert!(kinds.find("x").is_some());
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    for (text, said) in [
        ("", "has no `name`"),
        ("name = 1", "must be a string"),
        ("name = \"router\"", "nslab plays itself"),
        ("name = \"a b\"", "cannot be the name of a kind"),
        ("name = \"x\"\nnaem = 1", "has no key `naem`"),
        ("name = \"x\"\n[node]\nevn = {}", "has no key `evn`"),
        ("name = \"x\"\n[node]\nkind = \"host\"", "cannot set `kind`"),
        ("name = \"x\"\n[node.env]\nA = \"{nmae}\"", "no variable `{nmae}`"),
        ("name = \"x\"\nbase = \"bridge\"", "cannot be `bridge`"),
        ("name = \"x\"\ndefault_type = \"a\"\n[types.b]", "no type `a`"),
        ("name = \"x\"\n[types]\na = \"b\"", "no type `b`"),
        ("name = \"x\"\n[types.a]\nname = 1", "the variable `name` is"),
        (
            "name = \"x\"\n[lists.A]\nitem = \"\"",
            "cannot be the name of a variable",
        ),
        ("name = \"x\"\n[lists.a]\n", "has no `item`"),
        (
            "name = \"x\"\n[lists.a]\nitem = \"{b}\"\n[lists.b]\nitem = \"{a}\"",
            "no variable `{b}`",
        ),
        ("name = \"x\"\n[lists.a]\nitem = \"{a}\"", "no variable `{a}`"),
        (
            "name = \"x\"\ninterfaces = [{ name = \"a{x}\", kernel = \"b{y}\" }]",
            "different numbers",
        ),
        (
            "name = \"x\"\ninterfaces = [{ name = \"a{x}\", kernel = \"a/{x}\" }]",
            "contains '/'",
        ),
        ("name = \"x\"\ninterfaces = [{ name = \"a\" }]", "has no `kernel`"),
        ("name = \"x\"\nlicense = \"/a\"", "must be a table"),
        ("name = \"x\"\nstartup_config = [{ path = \"a\" }]", "absolute"),
        ("name = \"x\"\n[host]\ncpus = 0", "out of range"),
        (
            "name = \"x\"\n[host]\ncpu_flags = [\"SSE 3\"]",
            "no name of an architecture",
        ),
        (
            "name = \"x\"\nready = { tcp = 1, file = \"/x\" }",
            "more than one",
        ),
        ("name = \"x\"\nname = \"y\"", "duplicate key"),
        ("no TOML", ""),
    ] {
        let diagnostics = read(text, None).unwrap_err();
        let all = format!("{diagnostics:?}");
        assert!(all.contains(said) && !diagnostics.is_empty(), "{text}: {all}");
    }
}

const ACME: &str = r#"
name = "acme"
aliases = ["am"]
needs_image = false
default_type = "small"
after_ready = ["acme-cli hello {name}"]
save = "acme-cli save"
license = { path = "/etc/key", apply = ["acme-cli license"] }
startup_config = [
    { begins = "{", path = "/etc/acme.json" },
    { path = "/etc/acme.cli", apply = ["acme-cli -f /etc/acme.cli"] },
]
interfaces = [
    { name = "Port{s}/{p}", kernel = "p{s}-{p}" },
    { name = "Long-Port{s}/{p}", kernel = "p{s}-{p}" },
]
[lists.ports]
item = "{kernel}={interface}@{name}"
join = ";"
[types.small]
size = 24
[types.large]
size = 48
[host]
cpus = 2
[node]
env = { LINKS = "{links}", PORTS = "{ports}", SIZE = "{size}", OWN = "kind" }
sysctls = { "net.ipv4.ip_forward" = "0" }
binds = ["/nowhere:/nowhere"]
exec = ["acme-init {lab} {type}"]
[node.files."/etc/mac"]
content = "{base_mac}"
[node.files."/etc/acme.json"]
content = """
{ "name": "{name}" }
address {mgmt_ipv4}/{mgmt_ipv4_length} via {mgmt_ipv4_gateway}
address {mgmt_ipv6}
"""
"#;

fn acme() -> Vec<File> {
    vec![file("kinds/acme.toml", ACME)]
}

const LAB: &str = r#"
name = "l"
[mgmt]
ipv6_subnet = "none"
[nodes.a]
kind = "acme"
mgmt = true
env = { OWN = "lab" }
addresses = { "Port1/1" = ["10.0.0.1/24"] }
routes = [{ to = "default", via = "10.0.0.2", dev = "Port1/1" }]
[nodes.b]
kind = "am"
type = "large"
[nodes.c]
kind = "host"
[[links]]
endpoints = ["a:Port1/1", "b:Long-Port1/2"]
[[links]]
endpoints = ["a:p2-1", "c:eth0"]
[[checks]]
name = "route"
node = "a"
route = { to = "10.0.0.0/24", dev = "Port1/1" }
"#;

#[test]
fn a_node_gets_what_its_kind_says() {
    let lab = load(LAB, acme()).unwrap();
    let [a, b, c] = lab.nodes.as_slice() else { panic!() };
    assert_eq!(a.env["LINKS"], "2");
    assert_eq!(a.env["PORTS"], "p1-1=Port1/1@a;p2-1=Port2/1@a");
    assert_eq!((a.env["SIZE"].as_str(), b.env["SIZE"].as_str()), ("24", "48"));
    assert_eq!((a.env["OWN"].as_str(), b.env["OWN"].as_str()), ("lab", "kind"));
    assert_eq!(a.addresses[0].interface, "p1-1");
    assert!(a.binds.is_empty() && c.of_kind.is_none());
    assert_eq!(a.exec[0].command.to_string(), "acme-init l small");
    let text = |node: &crate::lab::model::Node, path: &str| {
        let file = node.files.iter().find(|file| file.path == path).unwrap();
        match &file.content {
            Content::Text(text) => text.clone(),
            Content::From(path) => path.display().to_string(),
        }
    };
    let (mac, other) = (text(a, "/etc/mac"), text(b, "/etc/mac"));
    assert!(mac.starts_with("1a:") && mac.ends_with(":00:00:00") && mac != other);
    assert_eq!(
        text(a, "/etc/acme.json"),
        "{ \"name\": \"a\" }\naddress 172.20.20.2/24 via 172.20.20.1\n"
    );
    // It is not on the management network.
    assert_eq!(text(b, "/etc/acme.json"), "{ \"name\": \"b\" }\n");
    let of_kind = a.of_kind.as_ref().unwrap();
    assert_eq!(of_kind.kind, "acme");
    assert_eq!(of_kind.interfaces["p1-1"], "Port1/1");
    assert_eq!(of_kind.needs.cpus, Some(2));
    assert_eq!(of_kind.after_ready[0].command.to_string(), "acme-cli hello a");
    assert_eq!(of_kind.save.as_ref().unwrap().to_string(), "acme-cli save");
    let ends: Vec<String> = lab
        .links
        .iter()
        .flat_map(|link| {
            link.ports()
                .map(|port| port.interface.clone())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(ends, ["p1-1", "p1-2", "p2-1", "eth0"]);
    assert!(format!("{:?}", lab.checks).contains("p1-1"));
}

#[test]
fn systemd_is_told_the_variables_of_the_lab() {
    let lab = "name = \"l\"\n[nodes.n]\nkind = \"ceos\"\nimage = \"ceos:1\"\nenv = { INTFTYPE = \"et\", OWN = \"a b\" }\n";
    let lab = load(lab, Vec::new()).unwrap();
    let image = format!("{:?}", lab.nodes[0].image);
    assert!(image.contains("\"systemd.setenv=INTFTYPE=et\""), "{image}");
    assert!(image.contains("\"systemd.setenv=OWN=a b\""), "{image}");
    assert!(
        image.contains("\"systemd.setenv=CEOS=1\"") && !image.contains("INTFTYPE=eth"),
        "{image}"
    );
}

#[test]
fn sr_linux_models_are_known_with_and_without_hyphens() {
    for (one, other, chassis, mda) in [
        ("ixr-h4-32d", "ixrh432d", 84, 25),
        ("ixr-h5-32d", "ixrh532d", 47, 106),
        ("ixr-h5-64d", "ixrh564d", 85, 18),
        ("ixr-h5-64o", "ixrh564o", 98, 154),
        ("ixr-18e", "ixr18e", 70, 13),
        ("sxr-1d-32d", "sxr1d32d", 54, 201),
    ] {
        for model in [one, other] {
            let text = format!("name = \"l\"\n[nodes.n]\nkind = \"srl\"\ntype = \"{model}\"\n");
            let lab = load(&text, Vec::new()).unwrap();
            let files = format!("{:?}", lab.nodes[0].files);
            assert!(
                files.contains(&format!("\\\"chassis_type\\\": {chassis}")),
                "{files}"
            );
            assert!(files.contains(&format!("\\\"mda_type\\\": {mda}")), "{files}");
        }
    }
}

#[test]
fn a_name_of_no_form_is_odd() {
    let kinds = catalog(&[]);
    let srl = kinds.find("srl").unwrap();
    for name in ["ethernet-1/1", "e1-1", "e1-1-2", "mgmt0"] {
        assert!(!srl.is_odd_name(name), "{name}");
    }
    for name in ["eth1", "e1", "ethernet-1"] {
        assert!(srl.is_odd_name(name), "{name}");
    }
    assert!(!kinds.find("linux").unwrap().is_odd_name("anything"));
}

#[test]
fn what_a_kind_says_has_a_bound() {
    let long = "{a}".repeat(20_000);
    let of_type = "x".repeat(200_000);
    for text in [
        format!(
            "[lists.a]\nitem = \"{of_type}\"\n[node.env]\nA = \"{}\"",
            "{a}".repeat(9)
        ),
        format!(
            "[lists.a]\nitem = \"{}\"\n[types.t]\nb = \"{of_type}\"",
            "{b}".repeat(9)
        ),
        format!("[types.t]\na = \"{of_type}\"\n[node.env]\nA = \"{long}\""),
        format!("[types.t]\na = \"{of_type}\"\n[node.files.\"/a\"]\ncontent = \"\"\"\n{long}\n\"\"\""),
    ] {
        let text = format!("name = \"big\"\nneeds_image = false\ndefault_type = \"t\"\n[types.t]\n{text}");
        let text = text.replacen(
            "[types.t]\n",
            "",
            usize::from(text.matches("[types.t]").count() > 1),
        );
        let lab = "name = \"l\"\n[nodes.n]\nkind = \"big\"\n[nodes.m]\n[[links]]\nendpoints = [\"n:eth1\", \"m:eth1\"]\n";
        let told = told(lab, vec![file("kinds/big.toml", &text)]);
        assert!(told.contains("`big` says is too long"), "{told}");
    }
}

#[test]
fn a_first_configuration_and_a_license_go_where_the_kind_says() {
    for (config, path, commands) in [
        ("config = { file = \"a.json\" }", "/etc/acme.json", 2),
        ("config = { file = \"a.cli\" }", "/etc/acme.cli", 3),
        ("config = \"set / y\"", "/etc/acme.cli", 3),
    ] {
        let text = format!("name = \"l\"\n[nodes.a]\nkind = \"acme\"\nlicense = \"a.key\"\n{config}\n");
        let lab = load(&text, acme()).unwrap();
        let node = &lab.nodes[0];
        assert!(node.config.is_none());
        let paths: Vec<&str> = node.files.iter().map(|file| file.path.as_str()).collect();
        assert!(paths.contains(&path) && paths.contains(&"/etc/key"), "{paths:?}");
        assert_eq!(paths.iter().filter(|it| **it == "/etc/acme.json").count(), 1);
        assert_eq!(
            node.of_kind.as_ref().unwrap().after_ready.len(),
            commands,
            "{config}"
        );
    }
}

#[test]
fn tables_of_a_kind_and_groups_hold_for_kinds_that_are_data() {
    let text = r#"
name = "l"
[defaults]
kind = "acme"
[kinds.am]
env = { OWN = "table" }
[groups.g]
type = "large"
[nodes.a]
[nodes.b]
group = "g"
"#;
    let lab = load(text, acme()).unwrap();
    assert_eq!(lab.nodes[0].env["OWN"], "table");
    assert_eq!(lab.nodes[1].env["SIZE"], "48");
}

#[test]
fn errors_about_kinds_are_told_once_with_a_cure() {
    let node = |rest: &str| format!("name = \"l\"\n[nodes.a]\n{rest}\n");
    for (rest, said) in [
        ("kind = \"acem\"", "`kind` cannot be `acem`: did you mean `acme`?"),
        ("kind = \"ruoter\"", "did you mean `router`?"),
        ("kind = \"something else\"", "`nslab kinds` lists"),
        ("kind = \"bad\"", "cannot be used: kinds/bad.toml, line 2"),
        ("kind = \"acme\"\ntype = \"lareg\"", "did you mean `large`?"),
        ("kind = \"bird\"", "names no image"),
        ("kind = \"host\"\ntype = \"small\"", "means nothing"),
        ("kind = \"linux\"\nlicense = \"a.key\"", "no use for `license`"),
        ("kind = \"linux\"\nconfig = \"x\"", "no use for `config`"),
        (
            "kind = \"acme\"\naddresses = { \"Port1\" = [] }",
            "has no interface `Port1`",
        ),
        (
            "kind = \"acme\"\naddresses = { \"Prot1/1\" = [] }",
            "contains '/'",
        ),
        ("kind = \"acme\"\nlicense = \"none.key\"", "there is no such file"),
    ] {
        let mut kinds = acme();
        kinds.push(file("kinds/bad.toml", "name = \"bad\"\nx = 1\n"));
        let told = told(&node(rest), kinds);
        assert!(told.contains(said), "{rest}: {told}");
        assert_eq!(told.lines().count(), 1, "{rest}: {told}");
    }
}

#[test]
fn what_a_kind_says_of_a_node_is_told_where_the_kind_is_named() {
    let before = "# A long file, so that places in it are no places of the lab's.\n".repeat(20);
    for (said, message) in [
        (
            "routes = [{ to = \"10.9.0.0/16\", via = \"10.0.0.77\" }]",
            "10.0.0.77",
        ),
        ("addresses = { eth9 = [\"10.0.0.1/24\"] }", "eth9"),
        ("wait_for = [\"nobody\"]", "nobody"),
        ("masquerade = [\"eth8\"]", "eth8"),
        ("network = \"node:nobody\"", "nobody"),
        (
            "interfaces = { v = { type = \"vlan\", link = \"eth7\", id = 5 } }",
            "eth7",
        ),
        ("mgmt = { ipv4 = \"10.255.0.1\" }", "10.255.0.1"),
    ] {
        let kind = file(
            "kinds/acme.toml",
            &format!("name = \"acme\"\n{before}[node]\n{said}\n"),
        );
        let text = "name = \"l\"\n[nodes.a]\nkind = \"acme\"\n";
        let diagnostics = load(text, vec![kind]).unwrap_err();
        let diagnostic = diagnostics.iter().find(|it| it.message.contains(message));
        let diagnostic = diagnostic.unwrap_or_else(|| panic!("{said}: {diagnostics:?}"));
        let named = text.find("\"acme\"").unwrap();
        assert_eq!(
            diagnostic.labels[0].span,
            named..named + 6,
            "{said}: {diagnostic:?}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_as_that() {
    let broken = File {
        place: "kinds/acme.toml".to_owned(),
        text: Err("kinds/acme.toml is not UTF-8 text".to_owned()),
    };
    let told = told("name = \"l\"\n[nodes.a]\nkind = \"acme\"\n", vec![broken]);
    assert!(
        told.contains("the kind `acme` cannot be used: kinds/acme.toml is not UTF-8 text"),
        "{told}"
    );
}

#[test]
fn interfaces_of_odd_names_are_told() {
    let text = "name = \"l\"\n[defaults]\nimage = \"x:1\"\n[nodes.a]\nkind = \"srl\"\n[nodes.b]\nkind = \"ceos\"\n[nodes.c]\nkind = \"linux\"\n\
                [[links]]\nendpoints = [\"a:eth1\", \"b:Ethernet1\"]\n[[links]]\nendpoints = [\"a:e1-1\", \"c:any\"]\n";
    let lab = load(text, Vec::new()).unwrap();
    let told = lab.odd_interfaces();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("`nokia_srlinux`") && told[0].ends_with(": a:eth1"),
        "{told:?}"
    );
}

//! Files of containerlab, kind and Cilium: what is taken from them, and how broken ones are refused.
//!
//! A file in tests/import/broken begins with what is expected of it, a line for each error: `# line 7: part of the
//! message`. A file in tests/import/taken becomes the lab file beside it.

use crate::common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Lab, in_package};
use nslab::import::{Imported, Input, Options, read, write};
use nslab::lab::resolve::load;
use nslab::lab::sources::Memory;

fn files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(in_package("tests/import").join(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    files
}

fn sources() -> Memory {
    Memory::default()
        .with_kinds(nslab::kinds::catalog(&[]))
        .with("/tmp/there", "")
        .with("node.env", "# of a node\nFROM_FILE=\"1\"\nMODE=file\n")
        .with("frr.conf", "router bgp 65000\n")
        .with("data/x", "")
        .with("clab-all/web/conf", "")
        .with("clab-x/n/license", "key")
}

fn import(path: &Path) -> Imported {
    let input = Input {
        name: path.file_name().unwrap().to_str().unwrap().into(),
        text: fs::read_to_string(path).unwrap(),
        form: None,
        variables: None,
    };
    let options = Options {
        environment: [("RACK".to_owned(), "seven".to_owned())].into(),
        ..Options::default()
    };
    read(vec![input], &sources(), &options)
}

/// The errors as a broken file announces them.
fn told(imported: &Imported) -> Vec<(usize, String)> {
    let diagnostics = imported.lab(&sources()).err().unwrap_or_default();
    let sorted = imported.files.sorted(diagnostics);
    let diagnostics = sorted.into_iter().flat_map(|(file, diagnostics)| {
        let line = move |at: usize| file.text[..at].matches('\n').count() + 1;
        diagnostics.into_iter().map(move |diagnostic| {
            assert!(
                diagnostic.help.is_some_and(|help| !help.is_empty()),
                "no cure: {}",
                diagnostic.message
            );
            (line(diagnostic.labels[0].span.start), diagnostic.message)
        })
    });
    diagnostics.collect()
}

fn expected(text: &str) -> Vec<(usize, String)> {
    let comments = text.lines().map_while(|line| line.strip_prefix("# line "));
    comments
        .map(|comment| {
            let (line, message) = comment.split_once(": ").unwrap();
            (line.parse().unwrap(), message.to_owned())
        })
        .collect()
}

#[test]
fn every_error_is_told_on_its_line_with_a_cure() {
    let files = files("broken");
    assert!(files.len() >= 100, "{}", files.len());
    for path in files {
        let expected = expected(&fs::read_to_string(&path).unwrap());
        let told = told(&import(&path));
        assert!(!expected.is_empty(), "{}: {told:#?}", path.display());
        assert_eq!(told.len(), expected.len(), "{}: {told:#?}", path.display());
        for ((line, message), (at, part)) in told.iter().zip(&expected) {
            assert!(
                line == at && message.contains(part.as_str()),
                "{}: {told:#?}",
                path.display()
            );
        }
    }
}

#[test]
fn the_command_refuses_them_with_exit_code_2_and_makes_nothing() {
    let lab = Lab::new("");
    for path in files("broken") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let line = expected(&fs::read_to_string(&path).unwrap())[0].0;
        let place = format!("{name}:{line}:");
        lab.run(["up", "-d", path.to_str().unwrap()])
            .refused(2, &[&place, "nslab: "]);
        assert!(lab.left().is_empty(), "{name}: {:?}", lab.left());
    }
}

fn topology(text: &str) -> Imported {
    let input = Input {
        name: "x.clab.yml".into(),
        text: format!("name: x\ntopology:\n{text}"),
        form: None,
        variables: None,
    };
    read(vec![input], &sources(), &Options::default())
}

#[test]
fn a_kind_that_no_node_has_is_noted_and_one_that_a_node_has_is_refused() {
    let unused = topology("  kinds: { linus: {} }\n  nodes: {}\n");
    assert_eq!(told(&unused), Vec::new());
    assert!(
        unused.notes.iter().any(|note| note.contains("`linus`")),
        "{:?}",
        unused.notes
    );
    let used = told(&topology(
        "  kinds: { linus: {} }\n  nodes: { n: { kind: linus } }\n",
    ));
    assert!(
        used.len() == 1 && used[0].1.contains("cannot be of kind `linus`"),
        "{used:?}"
    );
    for kind in [
        "6wind_vsr",
        "cvx",
        "cumulus_cvx",
        "juniper_csrx",
        "cisco_xrd_vrouter",
        "codelaboratory_bng",
    ] {
        let text = format!("  nodes: {{ n: {{ kind: {kind}, image: \"example.com/a:1\" }} }}\n");
        assert_eq!(told(&topology(&text)), Vec::new(), "{kind}");
    }
}

#[test]
fn a_first_configuration_of_many_lines_may_have_a_url_in_it() {
    let text =
        "  nodes:\n    n:\n      kind: srl\n      startup-config: |\n        http://a/b\n        set / x\n";
    let imported = topology(text);
    assert_eq!(told(&imported), Vec::new());
    assert!(write::lab_file(&imported).contains("http://a/b"));
    let remote = told(&topology(
        "  nodes: { n: { kind: srl, startup-config: \"s3://a/b\" } }\n",
    ));
    assert!(
        remote.len() == 1 && remote[0].1.contains("to be fetched"),
        "{remote:?}"
    );
}

#[test]
fn what_is_empty_is_nothing_and_a_license_has_variables() {
    let text = "  nodes:\n    n: { kind: srl, cmd: \"\", user: \"\", type: \"\", license: __clabNodeDir__/license }\n\
                \x20   m: { kind: linux, image: \"example.com/a\", entrypoint: \"\", startup-config: \"\", license: \"\" }\n\
                \x20 links:\n    - endpoints: [\"n:eth1\", \"m:eth1\"]\n";
    let imported = topology(text);
    assert_eq!(told(&imported), Vec::new());
    let file = write::lab_file(&imported);
    for absent in ["cmd", "user", "type", "entrypoint"] {
        assert!(!file.contains(absent), "{absent}: {file}");
    }
    assert!(file.contains("clab-x/n/license"), "{file}");
    let text = "  nodes: { n: { kind: srl, components: [{ slot: A, sfm: x }], sfm: x, config-mode: y, gen-component-config: true } }\n";
    let imported = topology(text);
    assert_eq!(told(&imported), Vec::new());
    assert!(
        imported.notes.join("\n").contains("gen-component-config"),
        "{:?}",
        imported.notes
    );
}

#[test]
fn every_key_becomes_what_the_lab_file_beside_it_says() {
    for path in files("taken") {
        let imported = import(&path);
        assert_eq!(told(&imported), Vec::new(), "{}", path.display());
        let text = write::lab_file(&imported);
        let beside = path.with_extension("toml");
        if std::env::var_os("NSLAB_WRITE").is_some() {
            fs::write(&beside, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&beside).unwrap(), "{}", path.display());
        // The lab file is the same lab; only the lines its commands stand in are its own.
        let mut imported = imported.lab(&sources()).unwrap();
        let mut written = load(&text, &sources()).unwrap();
        for node in imported.nodes.iter_mut().chain(&mut written.nodes) {
            for exec in node.exec.iter_mut().chain(&mut node.after_ready) {
                exec.line = 0;
            }
        }
        assert_eq!(imported, written, "{}", path.display());
    }
}

#[test]
fn files_that_nobody_would_write_are_refused_soon() {
    let lab = Lab::new("");
    let huge = lab.path("huge.yaml");
    let file = fs::File::create(&huge).unwrap();
    file.set_len(100 << 20).unwrap();
    lab.run(["validate", huge.to_str().unwrap()])
        .refused(2, &["longer than"]);
    let long = lab.path("long.yaml");
    fs::write(
        &long,
        format!("name: x\ntopology:\n{}", "  # much\n".repeat(1 << 20)),
    )
    .unwrap();
    lab.run(["validate", long.to_str().unwrap()])
        .refused(2, &["longer than 8 MiB"]);
    let binary = lab.path("binary.yaml");
    fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    lab.run(["validate", binary.to_str().unwrap()])
        .refused(2, &["not UTF-8"]);
}

#[test]
fn files_are_known_by_what_is_in_them_or_by_what_is_said() {
    let lab = Lab::new("");
    let topology = lab.path("topo.yaml");
    fs::write(
        &topology,
        "name: l\ntopology:\n  nodes:\n    a: { kind: linux, image: app }\n",
    )
    .unwrap();
    let topology = topology.to_str().unwrap();
    lab.run(["validate", "--images", "map", topology]).refused(
        2,
        &["topo.yaml: a containerlab topology", "--image-map app=tools"],
    );
    let told = lab.ok(["validate", "--containerlab", topology, "--image-map", "app=tools"]);
    assert!(told.contains("lab l, 1 node, 0 links"), "{told}");
    assert!(
        lab.ok(["graph", "--image-map", "app=tools", topology])
            .contains("── a (host)")
    );
    let output = lab.path("made.toml");
    let words = [
        "import",
        "--image-map",
        "app=tools",
        topology,
        "-o",
        output.to_str().unwrap(),
    ];
    lab.ok(words);
    lab.run(words).refused(2, &["is there already"]);
    assert!(
        lab.ok(["validate", output.to_str().unwrap()])
            .contains("lab l, 1 node")
    );
    let template = lab.path("topo.clab.gotmpl");
    fs::write(&template, "").unwrap();
    lab.run(["validate", template.to_str().unwrap()])
        .refused(2, &["the file is empty"]);
    lab.run(["validate", "--image-map", "app=tool", topology])
        .refused(2, &["tools"]);
}

/// Two routers whose image starts FRR, one whose own commands do, and a computer.
const ROUTERS: &str = r#"
name: routers
topology:
  defaults: { kind: linux, image: "frrouting/frr:v9" }
  nodes:
    a: { binds: [ "daemons:/etc/frr/daemons", "a.conf:/etc/frr/frr.conf" ] }
    b:
      cmd: bash
      exec:
        - ip addr add 10.0.0.2/32 dev lo
        - touch /etc/frr/vtysh.conf
        - sed -i -e 's/bgpd=no/bgpd=yes/g' /etc/frr/daemons
        - usr/lib/frr/frrinit.sh start
        - >-
          vtysh -c 'conf t' -c 'router bgp 65002' -c ' no bgp ebgp-requires-policy'
          -c ' neighbor eth1 interface remote-as external'
          -c ' address-family ipv4 unicast' -c '  redistribute connected'
        - "false"
    pc: { image: alpine, dns: { servers: [ 192.0.2.53 ] }, env: { NAME: __clabNodeName__ } }
  links:
    - endpoints: [ "a:eth1", "b:eth1" ]
    - endpoints: [ "b:eth2", "pc:eth1" ]
"#;

#[test]
fn a_topology_comes_up_with_its_own_commands_and_files() {
    if !Path::new("/usr/lib/frr/bgpd").exists() {
        println!("skipped: FRR is not installed");
        return;
    }
    let lab = Lab::new("");
    let topology = lab.path("topo.clab.yml");
    fs::write(&topology, ROUTERS).unwrap();
    fs::write(lab.path("daemons"), "bgpd=yes\nvtysh_enable=yes\n").unwrap();
    let config =
        "router bgp 65001\n no bgp ebgp-requires-policy\n neighbor eth1 interface remote-as external\n";
    fs::write(lab.path("a.conf"), config).unwrap();
    let topology = topology.to_str().unwrap();
    // There a command that fails is only shown; here too, unless it is not wanted.
    lab.run(["up", "-d", "--strict", topology]).refused(1, &["false"]);
    lab.ok(["up", "-d", topology]);
    common::until("the route of b on a", || {
        lab.ok(["exec", "a", "ip", "route"]).contains("10.0.0.2")
    });
    assert_eq!(
        lab.ok(["exec", "pc", "cat", "/etc/resolv.conf"]),
        "nameserver 192.0.2.53\n"
    );
    assert_eq!(lab.ok(["exec", "pc", "printenv", "NAME"]), "pc\n");
    assert_eq!(
        lab.ok(["exec", "pc", "cat", "/proc/sys/net/ipv4/ip_forward"]),
        "1\n"
    );
    assert!(
        lab.ok(["exec", "pc", "ip", "route"])
            .contains("default via 172.20.20.1 dev eth0")
    );
    lab.ok(["down", "routers"]);
}

/// The published lab's own files, where they are.
#[test]
fn the_published_lab_is_read_from_its_own_files() {
    let article = in_package("../shared/article");
    if !article.is_dir() {
        println!("skipped: ../shared/article is not here");
        return;
    }
    let inputs = ["topo.yaml", "cluster.yaml", "values.yaml", "bgp-policy.yaml"].map(|name| Input {
        name: name.into(),
        text: fs::read_to_string(article.join(name)).unwrap(),
        form: None,
        variables: None,
    });
    let imported = read(inputs.to_vec(), &sources(), &Options::default());
    assert!(imported.diagnostics.is_empty(), "{:?}", imported.diagnostics);
    let forms = [
        "a containerlab topology",
        "a kind cluster",
        "values of Cilium's Helm chart",
        "Kubernetes objects",
    ];
    for (note, form) in imported.notes.iter().zip(forms) {
        assert!(note.ends_with(form), "{note}");
    }
    let spec = &imported.spec;
    // kind's own network made room for Cilium's, for which nslab stands.
    assert_eq!(spec.kubernetes.as_ref().unwrap().cni, None);
    let node = |name: &str| &spec.nodes.iter().find(|(node, _)| node.value == name).unwrap().1;
    assert_eq!(spec.nodes.len(), 11);
    assert_eq!(spec.links.len(), 6);
    for (server, member, address, rack) in [
        ("server0", "control-plane", "10.0.1.2", "rack0"),
        ("server1", "worker", "10.0.2.2", "rack0"),
        ("server2", "worker2", "10.0.3.2", "rack1"),
        ("server3", "worker3", "10.0.4.2", "rack1"),
    ] {
        let name = format!("clab-bgp-cplane-demo-{member}");
        assert_eq!(node(server).network.as_ref().unwrap().value, name);
        assert!(node(server).mgmt.is_none());
        let member = node(&name);
        assert_eq!(member.node_ips.as_ref().unwrap()[0].value.to_string(), address);
        assert_eq!(member.labels["rack"].value, rack);
        assert!(member.mgmt.as_ref().unwrap().wanted);
    }
    let exec = |name: &str| node(name).exec.as_ref().unwrap().len();
    assert_eq!((exec("router0"), exec("tor0"), exec("server3")), (7, 8, 2));
    let kubernetes = spec.kubernetes.as_ref().unwrap();
    assert_eq!(kubernetes.pod_subnet[0].value.to_string(), "10.1.0.0/16");
    let cilium = spec.cilium.as_ref().unwrap();
    assert!(cilium.bgp_control_plane.as_ref().unwrap().value);
    assert_eq!(cilium.manifests[0].value, "bgp-policy.yaml");
    // Written as a lab file it says the same.
    let text = write::lab_file(&imported);
    let policy = fs::read_to_string(article.join("bgp-policy.yaml")).unwrap();
    let written = load(&text, &sources().with("bgp-policy.yaml", policy)).unwrap();
    assert_eq!(written.manifests.len(), 1);
    let of = |lab: &nslab::lab::Lab| {
        lab.nodes
            .iter()
            .map(|node| node.kubernetes.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&written), of(&imported.lab(&sources()).unwrap()));
    assert!(text.contains("role = \"control-plane\"") && text.contains("manifests = [\"bgp-policy.yaml\"]"));
}

proptest::proptest! {
    #[test]
    fn a_damaged_topology_is_read_or_refused_with_cures(at in 0usize..2000, cut in 0usize..40, put in "[-a-z:\\[\\]{}&*'\"$ \\n\\t/é]{0,6}") {
        let text = include_str!("../import/taken/all.yaml");
        let from = at % text.len();
        let end = (from + cut).min(text.len());
        let text = format!("{}{put}{}", &text[..from], &text[end..]);
        let input = Input { name: "damaged.yaml".into(), text, form: Some(nslab::import::Form::Containerlab), variables: None };
        let imported = read(vec![input], &sources(), &Options::default());
        let before: usize = imported.lab(&sources()).err().map_or(0, |diagnostics| diagnostics.len());
        let told = told(&imported);
        proptest::prop_assert_eq!(told.len(), before);
    }
}

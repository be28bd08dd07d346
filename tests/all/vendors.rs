//! Kinds that files say: topologies of vendors' systems as people have them are taken, what cannot be is refused in a line, and
//! `nslab kinds` shows what there is.

use crate::common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Lab, in_package};

/// The topologies of tests/topologies in a directory of the lab's, with what stands beside them.
fn topologies(lab: &Lab) -> Vec<PathBuf> {
    copy(&in_package("tests/topologies"), &lab.path("topologies"));
    let all = lab.path("topologies");
    let inside = |directory: &Path| {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let below: Vec<PathBuf> = inside(&all).into_iter().filter(|path| path.is_dir()).collect();
    let paths = inside(&all)
        .into_iter()
        .chain(below.iter().flat_map(|path| inside(path)));
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| {
            let name = path.to_str().unwrap();
            name.ends_with(".clab.yml") || name.ends_with(".gotmpl")
        })
        .collect();
    paths.sort();
    paths
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn topologies_of_every_shape_are_taken_and_mean_the_same_as_lab_files() {
    let lab = Lab::new("");
    let paths = topologies(&lab);
    assert!(paths.len() >= 35, "{}", paths.len());
    for path in paths {
        let path = path.to_str().unwrap();
        let said = lab.run(["validate", path]).expect(0);
        let written = path.replace(".clab.yml", ".toml").replace(".gotmpl", ".toml");
        lab.run(["import", path, "-o", &written]).expect(0);
        let again = lab.run(["validate", &written]).expect(0);
        let counts = |text: &str| text.rsplit(": ").next().unwrap().to_owned();
        assert_eq!(counts(&said), counts(&again), "{path}");
        let ran = lab.run(["validate", "--images", "run", path]).expect(0);
        assert_eq!(counts(&said), counts(&ran), "{path}");
    }
}

#[test]
fn a_template_is_rendered_with_its_variables() {
    let lab = Lab::new("");
    topologies(&lab);
    let path = lab.path("topologies/leaves.clab.gotmpl");
    let path = path.to_str().unwrap();
    let run = lab.run(["validate", path]);
    assert!(run.err.contains("leaves.clab_vars.yaml"), "{}", run.err);
    assert!(run.expect(0).contains("6 nodes, 8 links"));
    let vars = lab.path("more.yaml");
    fs::write(
        &vars,
        "spines: { num: 1, type: ixrd3 }\nleaves: { num: 2, type: ixrd2l }\n",
    )
    .unwrap();
    let said = lab.ok(["validate", "--vars", vars.to_str().unwrap(), path]);
    assert!(said.contains("3 nodes, 2 links"), "{said}");
    let broken = lab.path("b.clab.gotmpl");
    fs::write(&broken, "name: x\n{{ nosuch 1 }}\n").unwrap();
    lab.run(["validate", broken.to_str().unwrap()])
        .refused(2, &["no function `nosuch`", "b.clab.gotmpl:2"]);
}

#[test]
fn what_cannot_be_is_refused_in_one_line_with_its_reason() {
    let node = |node: &str| format!("name: x\ntopology:\n  nodes:\n    a: {{ {node} }}\n");
    for (text, said) in [
        (
            node("kind: vr-sros, image: 'vrnetlab/vr-sros:1'"),
            "virtual machine",
        ),
        (node("kind: cisco_c8000v, image: 'x:1'"), "virtual machine"),
        (node("kind: juniper_vmx"), "virtual machine"),
        (node("kind: generic_vm, image: 'x:1'"), "virtual machine"),
        (
            node("kind: nokia_srlniux, image: 'x:1'"),
            "did you mean `nokia_srlinux`?",
        ),
        (node("kind: ceos"), "names no image"),
        (node("kind: srl, type: ixr-d9"), "did you mean"),
        (
            node("kind: srl, startup-config: 'https://x.example/y.cli'"),
            "fetched",
        ),
        (node("kind: srl, startup-config: none.cli"), "none.cli"),
        (node("kind: linux, image: 'a b'"), "no image's name"),
    ] {
        let lab = Lab::new("");
        let path = lab.path("t.clab.yml");
        fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let run = lab.run(["validate", path]);
        assert_eq!(run.code, 2, "{run:?}");
        let told = run.err;
        assert!(told.contains(said), "no {said:?} in {told}");
        let diagnostics = told.matches('×').count();
        assert_eq!(diagnostics, 1, "{told}");
        assert!(lab.left().is_empty());
    }
}

#[test]
fn a_second_cluster_is_refused_as_that() {
    let lab = Lab::new("");
    let path = lab.path("t.clab.yml");
    let text = "name: x\ntopology:\n  nodes:\n    k01: { kind: k8s-kind, startup-config: kind.yaml }\n    k02: { kind: k8s-kind, startup-config: kind.yaml }\n";
    fs::write(&path, text).unwrap();
    fs::write(
        lab.path("kind.yaml"),
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n",
    )
    .unwrap();
    lab.run(["validate", path.to_str().unwrap()])
        .refused(2, &["`k02` is a second cluster, and a lab has one: `k01`"]);
}

#[test]
fn images_are_run_mapped_or_refused_as_is_wished() {
    let lab = Lab::new("");
    let path = lab.path("t.clab.yml");
    let text = "name: x\ntopology:\n  nodes:\n    r: { kind: linux, image: 'frrouting/frr:v8.2.2' }\n    \
                t: { kind: linux, image: 'example.org/tool:1', labels: { a.b: c } }\n  links:\n    - endpoints: ['r:eth1', 't:eth1']\n";
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let imported = |mode: &str| {
        let lab_file = lab.run(["import", "--images", mode, path]);
        lab_file.expect(0)
    };
    let auto = imported("auto");
    assert!(
        auto.contains("# this machine's programs stand for frrouting/frr:v8.2.2; `--images run`"),
        "{auto}"
    );
    assert!(!auto.contains("image = \"frrouting") && auto.contains("image = \"example.org/tool:1\""));
    assert!(
        auto.contains("CLAB_INTFS = \"1\"") && auto.contains("CLAB_LABEL_A_B = \"c\""),
        "{auto}"
    );
    let run = imported("run");
    assert!(
        run.contains("image = \"frrouting/frr:v8.2.2\"") && !run.contains("stand for"),
        "{run}"
    );
    lab.run(["import", "--images", "map", path])
        .refused(2, &["example.org/tool:1", "--images map", "--image-map"]);
    let own = lab
        .run([
            "import",
            "--images",
            "run",
            "--image-map",
            "frrouting/frr=frr",
            path,
        ])
        .expect(0);
    assert!(!own.contains("image = \"frrouting"), "{own}");
}

#[test]
fn kinds_are_listed_and_shown_from_nearest_to_farthest() {
    let lab = Lab::new("");
    let list = lab.run(["kinds"]).expect(0);
    for kind in [
        "nokia_srlinux",
        "arista_ceos",
        "cisco_xrd",
        "keysight_ixia-c-one",
        "ext-container",
    ] {
        assert!(list.contains(kind), "{list}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&lab.run(["kinds", "--format", "json"]).expect(0)).unwrap();
    let listed = json.as_array().unwrap();
    let srl = listed
        .iter()
        .find(|kind| kind["name"] == "nokia_srlinux")
        .unwrap();
    assert_eq!(srl["aliases"], serde_json::json!(["srl"]));
    let shown = lab.run(["kinds", "show", "srl"]).expect(0);
    assert!(shown.contains("name = \"nokia_srlinux\""), "{shown}");
    lab.run(["kinds", "show", "nokia_srlniux"])
        .refused(2, &["did you mean `nokia_srlinux`?"]);
    lab.run(["kinds", "show", "router"]).refused(2, &["plays itself"]);
}

#[test]
fn a_lab_names_kinds_of_its_own_directory_and_of_the_users_configuration() {
    let lab = Lab::new("");
    let write = |path: &str, text: &str| {
        let path = lab.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "config/nslab/kinds/acme.toml",
        "name = \"acme\"\nneeds_image = false\n[node]\nenv = { FROM = \"user\" }\n",
    );
    write("l.toml", "name = \"l\"\n[nodes.a]\nkind = \"acme\"\n");
    let path = lab.path("l.toml").to_str().unwrap().to_owned();
    lab.run(["validate", &path])
        .refused(2, &["`kind` cannot be `acme`", "nslab kinds"]);
    let config = lab.path("config");
    let with = |words: &[&str]| common::run(lab.nslab(words).env("XDG_CONFIG_HOME", &config));
    with(&["validate", &path]).expect(0);
    write("kinds/acme.toml", "name = \"acme\"\nneeds_image = flase\n");
    write("config/nslab/kinds/acme.toml", "name = \"other\"\n");
    with(&["validate", &path]).refused(2, &["cannot be used", "kinds/acme.toml, line 2"]);
}

#[test]
fn what_this_host_lacks_for_a_kind_is_a_note_of_validate_and_keeps_up_from_anything() {
    let lab = Lab::new("name = \"l\"\n[nodes.a]\nkind = \"acme\"\n");
    fs::create_dir(lab.path("kinds")).unwrap();
    let write = |host: &str| {
        let text = format!("name = \"acme\"\nneeds_image = false\n[host]\n{host}\n");
        fs::write(lab.path("kinds/acme.toml"), text).unwrap();
    };
    for (host, said) in [
        ("architectures = [\"pdp11\"]", "needs an architecture of pdp11"),
        ("cpu_flags = [\"telepathy\"]", "telepathy"),
        ("cpus = 4096", "needs 4096 CPUs"),
        ("memory = \"4096T\"", "of memory"),
    ] {
        if host.starts_with("cpu_flags") && std::env::consts::ARCH != "x86_64" {
            continue;
        }
        write(host);
        let run = lab.run(["validate", lab.file()]);
        assert!(
            run.err.contains("note: ") && run.err.contains(said),
            "{}",
            run.err
        );
        run.expect(0);
        lab.run(["up", "-d", lab.file()]).refused(3, &[said, "acme"]);
        assert!(lab.left().is_empty());
    }
    write("cpus = 1");
    lab.ok(["up", "-d", lab.file()]);
}

#[test]
fn a_first_configuration_that_is_a_template_knows_its_node() {
    let lab = Lab::new("");
    let path = lab.path("t.clab.yml");
    let text = "name: x\nmgmt: { ipv4-subnet: 172.30.0.0/22 }\ntopology:\n  kinds:\n    ceos: { image: 'ceos:1', startup-config: eos.cfg, env: { SITE: north } }\n  \
                nodes:\n    r1: { kind: ceos, mgmt-ipv4: 172.30.1.7 }\n    r2: { kind: ceos }\n    \
                p: { kind: linux, image: 'example.org/tool:1' }\n";
    fs::write(&path, text).unwrap();
    let config = "hostname {{ .ShortName }}-{{ .Env.SITE }}\n{{ if .MgmtIPv4Address }}ip address {{ .MgmtIPv4Address }}/{{ .MgmtIPv4PrefixLength }}\n\
                  ip route 0.0.0.0/0 {{ .MgmtIPv4Gateway }}{{ end }}\n";
    fs::write(lab.path("eos.cfg"), config).unwrap();
    let path = path.to_str().unwrap();
    let imported = lab.run(["import", path]).expect(0);
    for line in [
        "hostname r1-north",
        "ip address 172.30.1.7/22",
        "ip route 0.0.0.0/0 172.30.0.1",
        "hostname r2-north",
    ] {
        assert!(imported.contains(line), "no {line:?} in {imported}");
    }
    assert_eq!(imported.matches("ip address 172").count(), 1, "{imported}");
    // What is wrong with one is told once, in its own file.
    fs::write(lab.path("eos.cfg"), "hostname x\n{{ .NoSuchField }}\n").unwrap();
    let run = lab.run(["validate", path]);
    assert_eq!(run.err.matches('×').count(), 1, "{}", run.err);
    run.refused(2, &["eos.cfg:2", "docs/import.md"]);
}

#[test]
fn a_file_beside_a_topology_replaces_a_kind_that_is_known() {
    let lab = Lab::new("");
    let path = lab.path("t.clab.yml");
    let text =
        "name: x\ntopology:\n  nodes:\n    a: { kind: linux, image: 'alpine:3' }\n    b: { kind: frr }\n";
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let plain = lab.run(["import", path]).expect(0);
    assert!(!plain.contains("kind = \"linux\""), "{plain}");
    fs::create_dir(lab.path("kinds")).unwrap();
    let file = lab.path("kinds/linux.toml");
    fs::write(
        &file,
        "name = \"linux\"\n[node]\nenv = { FROM = \"own {name}\" }\n",
    )
    .unwrap();
    let own = lab.run(["import", path]).expect(0);
    assert!(
        own.contains("kind = \"linux\"") && own.contains("image = \"alpine:3\""),
        "{own}"
    );
    let plan = lab
        .run(["up", "--dry-run", "--format", "json", "--images", "map", path])
        .expect(0);
    assert!(!plan.contains("own a"), "{plan}");
    fs::write(&file, "name = \"linux\"\nnode = 1\n").unwrap();
    lab.run(["validate", path])
        .refused(2, &["linux.toml, line", "cannot be used"]);
    // One that nobody can read is told as that.
    fs::write(&file, [0xff, 0xfe, b'\n']).unwrap();
    lab.run(["validate", path]).refused(2, &["linux.toml", "UTF-8"]);
    let mut show = lab.nslab(["kinds", "show", "linux"]);
    common::run(show.current_dir(lab.path("."))).refused(2, &["linux.toml", "UTF-8"]);
}

#[test]
fn a_lab_file_is_told_of_interfaces_that_its_kinds_do_not_know() {
    let text = "name = \"l\"\n[nodes.a]\nkind = \"acme\"\n[nodes.b]\nkind = \"host\"\n[[links]]\nendpoints = [\"a:eth1\", \"b:eth1\"]\n";
    let lab = Lab::new(text);
    fs::create_dir(lab.path("kinds")).unwrap();
    let kind = "name = \"acme\"\nneeds_image = false\ninterfaces = [{ name = \"Port{port}\", kernel = \"p{port}\" }]\n";
    fs::write(lab.path("kinds/acme.toml"), kind).unwrap();
    let said = "the kind `acme` knows no interfaces of these names, which its system may not use: a:eth1";
    for words in [vec!["validate", lab.file()], vec!["up", "-d", lab.file()]] {
        let run = lab.run(words);
        assert!(run.err.contains(said), "{}", run.err);
        run.expect(0);
    }
    fs::write(lab.file(), text.replace("a:eth1", "a:Port1")).unwrap();
    let run = lab.run(["validate", lab.file()]);
    assert!(!run.err.contains("knows no interfaces"), "{}", run.err);
}

#[test]
fn names_that_people_have_for_nodes_of_clusters_lead_to_the_kind() {
    for kind in ["kubernetes", "cluster", "k8s-node"] {
        let lab = Lab::new(&format!("name = \"l\"\n[nodes.a]\nkind = \"{kind}\"\n"));
        lab.run(["validate", lab.file()]).refused(
            2,
            &[&format!("`kind` cannot be `{kind}`"), "write `kind = \"k8s\"`"],
        );
    }
}

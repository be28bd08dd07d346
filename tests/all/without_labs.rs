//! What nslab says about lab files and about itself, without any lab.

use crate::common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::{Lab, PAIR, in_package, run};
use serde_json::Value;

/// The labs that ship.
fn shipped() -> Vec<PathBuf> {
    let entries = fs::read_dir(in_package("labs")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    assert!(files.len() >= 2);
    files
}

#[test]
fn shipped_labs_are_valid() {
    let lab = Lab::new("");
    let files = shipped();
    let words = ["validate"]
        .into_iter()
        .chain(files.iter().map(|path| path.to_str().unwrap()));
    let told = lab.ok(words);
    assert_eq!(told.lines().count(), files.len(), "{told}");
    assert!(
        told.contains("quickstart.toml: lab quickstart, 6 nodes, 5 links\n"),
        "{told}"
    );
    assert!(
        told.contains("cilium-bgp.toml: lab cilium-bgp, 7 nodes, 4 pods, 6 links\n"),
        "{told}"
    );
    lab.run(["validate", lab.file()])
        .refused(2, &["lab.toml", "not a lab as it stands"]);
    lab.run(["validate", "/no/such.toml"])
        .refused(2, &["there is no file /no/such.toml"]);
    lab.run(["validate", files[0].to_str().unwrap(), lab.file()])
        .refused(2, &["1 of 2 files"]);
}

#[test]
fn every_shipped_lab_is_drawn() {
    let lab = Lab::new("");
    for file in shipped() {
        let file = file.to_str().unwrap();
        let resolved = lab.json(["graph", "--format", "json", file]);
        let nodes = resolved["nodes"].as_array().unwrap();
        // A Kubernetes node's link to itself is not drawn.
        let loops =
            |link: &&serde_json::Value| link["shape"]["veth"][0]["node"] == link["shape"]["veth"][1]["node"];
        let all = resolved["links"].as_array().unwrap();
        let is_drawn = |link: &&serde_json::Value| link["shape"]["veth"].is_null() || !loops(link);
        let links = all.iter().filter(is_drawn).count();
        // A bridge or a tunnel has one end.
        let ends = |link: &serde_json::Value| if link["shape"]["device"].is_null() { 2 } else { 1 };
        let ends: usize = all.iter().filter(is_drawn).map(ends).sum();
        // A bridge leads nowhere: no line for it in a picture.
        let bridge = |link: &&serde_json::Value| !link["shape"]["device"]["device"]["bridge"].is_null();
        let links = links - all.iter().filter(bridge).count();
        let names: Vec<&str> = nodes.iter().map(|node| node["name"].as_str().unwrap()).collect();
        let text = lab.ok(["graph", file]);
        assert_eq!(text.lines().next(), resolved["name"].as_str());
        // A line for the lab, for each node, and for each end of a link.
        assert_eq!(text.lines().count(), 1 + names.len() + ends, "{text}");

        let dot = lab.ok(["graph", "--format", "dot", file]);
        assert_eq!(dot.matches(" -- ").count(), links, "{dot}");
        if common::has("dot") {
            fs::write(lab.path("lab.dot"), &dot).unwrap();
            run(Command::new("dot").arg("-Tsvg").arg(lab.path("lab.dot"))).expect(0);
        }
        let mermaid = lab.ok(["graph", "--format", "mermaid", file]);
        assert!(mermaid.starts_with("graph TD\n"), "{mermaid}");
        assert_eq!(
            mermaid.lines().filter(|line| line.contains(" ---|")).count(),
            links,
            "{mermaid}"
        );
        for name in names {
            assert!(text.contains(&format!("── {name} (")), "{name} in {text}");
            assert!(dot.contains(&format!("\"{name}\" [shape=")), "{name} in {dot}");
            assert!(mermaid.contains(&format!("\"{name}\"")), "{name} in {mermaid}");
        }
    }
    let text = lab.ok(["graph", in_package("labs/quickstart.toml").to_str().unwrap()]);
    assert!(
        text.contains("├── a (host)\n│   └── eth0 10.0.1.11/24 fd00:1::11/64 ── sw:p1\n"),
        "{text}"
    );
    lab.run(["graph"]).refused(2, &["no lab is running"]);
}

#[test]
fn a_running_lab_is_drawn_without_its_file_being_named() {
    let lab = Lab::up(PAIR);
    assert_eq!(lab.ok(["graph"]), lab.ok(["graph", lab.file()]));
    assert_eq!(lab.ok(["graph", "--lab", "pair"]), lab.ok(["graph"]));
}

#[test]
fn the_doctor_finds_this_host_fit() {
    let lab = Lab::new("");
    let text = lab.ok(["doctor"]);
    for what in [
        "root",
        "kernel",
        "namespaces",
        "overlay root",
        "cgroups",
        "devices                bridge",
        "FRR",
        "open files",
    ] {
        assert!(text.lines().any(|line| line.contains(what)), "{what} in\n{text}");
    }
    let findings = lab.json(["doctor", "--format", "json"]);
    for finding in findings.as_array().unwrap() {
        let state = finding["state"].as_str().unwrap();
        assert!(["good", "lacking"].contains(&state), "{finding}");
        // What lacks has its cure, in both forms.
        assert_eq!(state == "lacking", finding["cure"].is_string(), "{finding}");
        if let Some(cure) = finding["cure"].as_str() {
            assert!(text.contains(cure), "{cure} in\n{text}");
        }
    }
    assert!(lab.left().is_empty());
}

#[test]
fn the_doctor_tells_what_is_missing() {
    let lab = Lab::new("");
    // Without the right to make namespaces, no lab runs.
    let mut command = lab.command("setpriv");
    command.args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--"]);
    let done = run(command.args([env!("CARGO_BIN_EXE_nslab"), "doctor"]));
    assert!(
        done.out.contains("!!") && done.out.contains("--privileged"),
        "{}",
        done.out
    );
    done.refused(3, &["no lab can run here without: ", "namespaces"]);
}

#[test]
fn manual_pages_are_written() {
    let lab = Lab::new("");
    let page = lab.ok(["man"]);
    assert!(page.contains(".TH nslab 1"), "{page}");
    for section in ["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SECURITY"] {
        assert!(page.contains(section), "no {section} in\n{page}");
    }
    if common::has("man") {
        fs::write(lab.path("nslab.1"), &page).unwrap();
        let mut man = Command::new("man");
        man.args(["--warnings", "-l"])
            .arg(lab.path("nslab.1"))
            .env("LC_ALL", "C.UTF-8")
            .env("MANPAGER", "cat");
        let shown = run(&mut man);
        assert!(shown.code == 0 && shown.err.is_empty(), "{}", shown.err);
        assert!(shown.out.contains("NSLAB_RUN_DIR"), "{}", shown.out);
    }
    let directory = lab.path("man/man1");
    lab.ok(["man", "--dir", directory.to_str().unwrap()]);
    for page in ["nslab.1", "nslab-up.1", "nslab-exec.1", "nslab-doctor.1"] {
        let text = fs::read_to_string(directory.join(page)).unwrap();
        assert!(
            text.contains(".TH") && text.contains(".SH NAME"),
            "{page}:\n{text}"
        );
    }
}

#[test]
fn the_schema_is_json() {
    let lab = Lab::new("");
    let schema = lab.json(["schema"]);
    assert!(
        schema["$schema"].as_str().unwrap().contains("json-schema.org"),
        "{}",
        schema["$schema"]
    );
    for key in ["name", "nodes", "links", "defaults", "groups", "kinds"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
    assert_eq!(schema["additionalProperties"], Value::from(false));
}

#[test]
fn every_verb_explains_itself() {
    let lab = Lab::new("");
    let help = lab.ok(["--help"]);
    let verbs = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    // A verb stands two columns in; the lines that go on with its explanation further.
    let verbs: Vec<&str> = verbs
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(verbs.len() >= 17, "{verbs:?}");
    for verb in verbs.into_iter().filter(|verb| *verb != "help") {
        let help = lab.ok([verb, "--help"]);
        assert!(help.contains("Usage: nslab"), "{help}");
    }
    lab.run(["lunch"])
        .refused(2, &["unrecognized subcommand 'lunch'"]);
    assert_eq!(
        lab.ok(["--version"]),
        format!("nslab {}\n", env!("CARGO_PKG_VERSION"))
    );
}

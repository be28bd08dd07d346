//! What a release is made of is known and said: notices and a bill of materials name every part, a binary that tells of
//! its builder is found out, and the workflows run what they name.

use crate::common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Done, has, in_package, run};
use serde_json::Value;

/// What scripts/third-party says, called where the sources and the tools of a build are. The time is fixed.
fn third_party(words: &[&str]) -> String {
    let mut command = Command::new(in_package("scripts/third-party"));
    run(command.args(words).env("SOURCE_DATE_EPOCH", "1700000000")).expect(0)
}

/// Whether a release can be described here: the tests also run on machines without the sources and cargo.
fn can_describe() -> bool {
    has("cargo") && has("python3") && has("dpkg-query")
}

/// Name, version and license of every crate in the binary.
fn crates() -> Vec<(String, String, String)> {
    third_party(&["list"])
        .lines()
        .map(|line| {
            let mut words = line.splitn(3, ' ').map(str::to_owned);
            (
                words.next().unwrap(),
                words.next().unwrap(),
                words.next().unwrap(),
            )
        })
        .collect()
}

#[test]
fn notices_have_every_part_and_its_text() {
    if !can_describe() {
        return;
    }
    let said = third_party(&["notices"]);
    assert_eq!(said, third_party(&["notices"]), "two calls differ");
    let crates = crates();
    assert!(crates.len() > 100, "{crates:?}");
    for (name, version, license) in crates {
        assert!(
            said.contains(&format!("\n  {name} {version}: {license}\n")),
            "{name} is not listed"
        );
        assert!(
            said.contains(&format!("\n{name} {version} (")),
            "{name} has no text"
        );
    }
    for part in ["glibc ", "libgcc ", "Rust's standard library "] {
        assert!(said.contains(&format!("\n{part}")), "{part} has no text");
    }
    for text in [
        "GNU LESSER GENERAL PUBLIC LICENSE",
        "GCC RUNTIME LIBRARY EXCEPTION",
        "Apache License",
        "ISC License",
    ] {
        assert!(said.contains(text), "{text} is missing");
    }
    let home = std::env::var("HOME").unwrap();
    assert!(
        !said.contains(&format!("{home}/.")),
        "a path of the builder's is among the notices"
    );
}

#[test]
fn the_bill_of_materials_is_whole() {
    if !can_describe() {
        return;
    }
    let binary = env!("CARGO_BIN_EXE_nslab");
    let said = third_party(&["sbom", "--binary", binary]);
    assert_eq!(
        said,
        third_party(&["sbom", "--binary", binary]),
        "two calls differ"
    );
    let bill: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&bill["bomFormat"], &bill["specVersion"]),
        (&"CycloneDX".into(), &"1.6".into())
    );
    assert_eq!(bill["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    let sum = run(Command::new("sha256sum").arg(binary)).expect(0);
    assert_eq!(
        bill["metadata"]["component"]["hashes"][0]["content"],
        sum.split(' ').next().unwrap()
    );
    let components = bill["components"].as_array().unwrap();
    let named: BTreeSet<_> = components
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect();
    for name in crates()
        .iter()
        .map(|(name, ..)| name.as_str())
        .chain(["glibc", "libgcc", "rust-std"])
    {
        assert!(named.contains(name), "{name} is missing");
    }
    // Tests and macros are not in the binary.
    for name in ["proptest", "tempfile", "serde_derive", "windows-sys"] {
        assert!(!named.contains(name), "{name} is not in the binary");
    }
    let references: BTreeSet<_> = components
        .iter()
        .map(|part| part["bom-ref"].as_str().unwrap())
        .collect();
    assert_eq!(references.len(), components.len(), "a part stands twice");
    for part in components {
        assert!(
            part["licenses"][0]["expression"].is_string(),
            "{part} has no license"
        );
        let bought = part["purl"]
            .as_str()
            .is_some_and(|purl| purl.starts_with("pkg:cargo/"));
        assert_eq!(bought, part["hashes"][0]["content"].is_string(), "{part}");
    }
    for dependency in bill["dependencies"].as_array().unwrap() {
        let needed = dependency["dependsOn"].as_array().into_iter().flatten();
        for reference in needed.map(|reference| reference.as_str().unwrap()) {
            assert!(references.contains(reference), "{reference} is no part");
        }
    }
}

/// scripts/reproducible's search in a file with this content, by a builder with a home and a cargo of their own.
fn scan(directory: &Path, content: &[u8]) -> Done {
    let binary = directory.join("binary");
    fs::write(&binary, content).unwrap();
    let mut command = Command::new(in_package("scripts/reproducible"));
    command.env_remove("CARGO_TARGET_DIR").env_remove("RUSTUP_HOME");
    command
        .env("HOME", "/home/builder")
        .env("CARGO_HOME", "/opt/elsewhere/cargo");
    run(command.arg("--scan").arg(&binary))
}

#[test]
fn a_binary_that_tells_of_its_builder_is_found_out() {
    if !has("python3") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let clean =
        b"\x7fELF\0/cargo/registry/src/a/b.rs\0/nslab/src/main.rs\0/home/builders\x001700000000\0".to_vec();
    scan(directory.path(), &clean).expect(0);
    let today = run(Command::new("date").arg("+%Y-%m-%d")).expect(0);
    let seconds = run(Command::new("date").arg("+%s")).expect(0);
    let sources = in_package("src/x.rs").display().to_string();
    for (trace, what) in [
        ("/home/builder/work/x.rs", "the home directory"),
        ("/home/builder/.rustup/toolchains/x", "rustup's home"),
        ("/opt/elsewhere/cargo/registry/x", "cargo's home"),
        (sources.as_str(), "the sources' directory"),
        (today.trim(), "a date of the build"),
        (seconds.trim(), "a time of the build"),
    ] {
        let told = [clean.as_slice(), trace.as_bytes(), b"\0"].concat();
        scan(directory.path(), &told).refused(1, &[what, trace]);
    }
    // A binary without the flags has no such paths because they are other ones: that is no clean one.
    scan(directory.path(), b"\x7fELF").refused(1, &["scripts/build-flags"]);
}

/// The workflows and actions.
fn workflows() -> Vec<PathBuf> {
    let listed = fs::read_dir(in_package(".github/workflows")).unwrap();
    let mut found: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    found.push(in_package(".github/actions/nslab/action.yml"));
    found
}

#[test]
fn workflows_name_actions_by_commit_and_have_few_rights() {
    for path in workflows() {
        let text = fs::read_to_string(&path).unwrap();
        for used in text
            .lines()
            .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("uses: "))
        {
            let commit = used
                .split(' ')
                .next()
                .unwrap()
                .split_once('@')
                .map(|(_, commit)| commit);
            let pinned = commit
                .is_some_and(|commit| commit.len() == 40 && commit.bytes().all(|c| c.is_ascii_hexdigit()));
            assert!(
                pinned || used.starts_with("./"),
                "{}: {used} can be moved",
                path.display()
            );
        }
        // A job that says nothing has these rights, and not the repository's defaults, which may be to write.
        let rights = ["\npermissions: {}\n", "\npermissions:\n  contents: read\n\n"];
        let action = text.contains("\nruns:\n");
        assert!(
            action || rights.iter().any(|rights| text.contains(rights)),
            "{}: its rights",
            path.display()
        );
    }
}

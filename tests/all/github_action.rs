//! The GitHub action does what it says: its own scripts install a release, run labs, and leave a report.

use crate::common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use common::{Done, Lab, in_package, run};

const LABS: &str = "name = \"good\"\n[nodes.a]\nkind = \"host\"\n[[checks]]\nname = \"itself\"\nnode = \"a\"\nping = \"127.0.0.1\"\n";

/// A step's script, as the action calls it.
fn step(lab: &Lab, script: &str, environment: &[(&str, &str)]) -> Done {
    let directory = in_package(".github/actions/nslab");
    let action = fs::read_to_string(directory.join("action.yml")).unwrap();
    assert!(
        action.contains(&format!("\"$GITHUB_ACTION_PATH/{script}\"")),
        "no step runs {script}"
    );
    for (name, _) in environment {
        assert!(
            action.contains(&format!("{name}: ${{{{")) || ["NSLAB_PREFIX", "NSLAB_RAISE"].contains(name),
            "the action does not set {name}"
        );
    }
    let mut command: Command = lab.command(directory.join(script));
    command
        .current_dir(lab.path(""))
        .env("NSLAB_PREFIX", lab.path("prefix"));
    run(command.envs(environment.iter().copied()))
}

/// A tarball as scripts/release packs it, of the binary under test.
fn tarball(lab: &Lab) -> PathBuf {
    let tree = lab.path("nslab-0-x");
    fs::create_dir(&tree).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_nslab"), tree.join("nslab")).unwrap();
    let path = lab.path("nslab.tar.gz");
    // A binary for debugging is large, and how small it gets is of no interest.
    run(Command::new("tar")
        .args(["--use-compress-program", "gzip -1", "-cf"])
        .arg(&path)
        .arg("-C")
        .arg(lab.path(""))
        .arg("nslab-0-x"))
    .expect(0);
    path
}

#[test]
fn installs_tests_and_reports() {
    let lab = Lab::new(LABS);
    let path = tarball(&lab);
    let said = step(&lab, "install", &[("NSLAB_TARBALL", path.to_str().unwrap())]).expect(0);
    assert!(said.starts_with("nslab "), "{said}");
    step(&lab, "prepare", &[("NSLAB_PACKAGES", ""), ("NSLAB_RAISE", "no")]).expect(0);
    fs::write(
        lab.path("bad-1.toml"),
        LABS.replace("\"good\"", "\"bad\"")
            .replace("ping = \"127.0.0.1\"", "run = \"false\""),
    )
    .unwrap();
    fs::write(lab.path("good-1.toml"), LABS).unwrap();
    let environment = |files| {
        [
            ("NSLAB_FILES", files),
            ("NSLAB_JOBS", "2"),
            ("NSLAB_JUNIT", "r.xml"),
            ("NSLAB_LOGS", "logs"),
            ("NSLAB_ARGUMENTS", ""),
        ]
    };
    step(&lab, "test", &environment("good-*.toml")).expect(0);
    assert!(
        fs::read_to_string(lab.path("r.xml"))
            .unwrap()
            .contains("failures=\"0\"")
    );
    step(&lab, "test", &environment("good-*.toml bad-*.toml")).expect(1);
    assert!(
        fs::read_to_string(lab.path("r.xml"))
            .unwrap()
            .contains("failures=\"1\"")
    );
    assert!(lab.path("logs/bad/report.txt").exists());
}

#[test]
fn a_missing_tarball_is_told() {
    let lab = Lab::new(LABS);
    step(&lab, "install", &[("NSLAB_TARBALL", "/nowhere.tar.gz")]).refused(3, &["/nowhere.tar.gz"]);
}

/// `gh release download` for a release in a directory: what is needed of it, because there is no GitHub here.
const GH: &str = r#"#!/bin/bash
while (($#)); do
    case $1 in
        --dir) into=$2 && shift ;;
        --pattern) patterns+=("$2") && shift ;;
    esac
    shift
done
for pattern in "${patterns[@]}"; do
    cp "$RELEASE"/$pattern "$into/"
done
"#;

#[test]
fn a_release_is_installed_if_it_has_its_checksum() {
    let lab = Lab::new(LABS);
    let (release, programs) = (lab.path("release"), lab.path("programs"));
    fs::create_dir(&release).unwrap();
    fs::create_dir(&programs).unwrap();
    fs::write(programs.join("gh"), GH).unwrap();
    fs::set_permissions(programs.join("gh"), fs::Permissions::from_mode(0o755)).unwrap();
    let machine = run(Command::new("uname").arg("-m")).expect(0);
    let name = format!("nslab-0-{}-x.tar.gz", machine.trim());
    fs::rename(tarball(&lab), release.join(&name)).unwrap();
    let sum = run(Command::new("sha256sum").arg(&name).current_dir(&release)).expect(0);
    let elsewhere = format!("{}  nslab-0-other-x.tar.gz\n", "0".repeat(64));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let install = |sums: &str| {
        fs::write(release.join("SHA256SUMS"), sums).unwrap();
        let wanted = [
            ("NSLAB_VERSION", "v0"),
            ("NSLAB_REPOSITORY", "owner/nslab"),
            ("NSLAB_TARBALL", ""),
        ];
        let directory = in_package(".github/actions/nslab");
        let mut command = lab.command(directory.join("install"));
        command.env("PATH", &path).env("RELEASE", &release);
        command.env("NSLAB_PREFIX", lab.path("prefix")).envs(wanted);
        run(&mut command)
    };
    // Another's sum, none at all, and one that is not right.
    install(&elsewhere).refused(3, &[&name, "SHA256SUMS"]);
    install("").refused(3, &[&name, "SHA256SUMS"]);
    install(&format!("{elsewhere}{}  {name}\n", "0".repeat(64))).refused(3, &[&name, "SHA256SUMS"]);
    assert!(!lab.path("prefix/bin/nslab").exists());
    let said = install(&format!("{elsewhere}{sum}")).expect(0);
    assert!(said.contains("nslab "), "{said}");
    // Which of two is meant, nobody can tell.
    fs::copy(release.join(&name), release.join(name.replace("-x.", "-y."))).unwrap();
    install(&sum).refused(3, &["2 tarballs"]);
}

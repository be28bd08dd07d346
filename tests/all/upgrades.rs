//! Labs that live on while the file of nslab's program is replaced.

use std::fs;
use std::process::Command;

use crate::common::{Lab, run, until};

const LAB: &str = r#"
name = "upgrade"
[nodes.plain]
kind = "host"
run = [{ name = "sleeper", command = "sleep infinity" }]
[nodes.idle]
kind = "host"
[nodes.users]
kind = "host"
user_namespace = true
[nodes.r]
kind = "router"
engine = "builtin"
addresses = { lo = ["10.255.0.1/32"] }
config = "router bgp 65001\n bgp router-id 10.255.0.1\n"
"#;

#[test]
fn nodes_start_after_the_program_was_replaced_or_removed() {
    type Change = fn(&std::path::Path);
    let replace: Change = |binary| {
        let other = binary.with_extension("new");
        fs::copy(env!("CARGO_BIN_EXE_nslab"), &other).unwrap();
        fs::rename(&other, binary).unwrap();
    };
    // As cargo does, whose file has another name besides.
    let relink: Change = |binary| {
        fs::hard_link(binary, binary.with_extension("kept")).unwrap();
        fs::remove_file(binary).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_nslab"), binary).unwrap();
    };
    for change in [replace, relink] {
        let directory = tempfile::tempdir().unwrap();
        let binary = directory.path().join("nslab");
        fs::copy(env!("CARGO_BIN_EXE_nslab"), &binary).unwrap();
        let lab = Lab::new(LAB);
        let mut up: Command = lab.command(&binary);
        run(up.args(["up", "-d", lab.file()])).expect(0);
        lab.ok(["restart", "plain"]);
        change(&binary);
        for node in ["plain", "r", "users"] {
            lab.ok(["restart", node]);
            until("the node's return", || lab.node(node)["state"] == "ready");
        }
        for node in ["idle", "plain", "r", "users"] {
            lab.ok(["exec", node, "nslab", "version"]);
        }
        lab.ok(["restart", "idle"]);
        lab.ok(["exec", "r", "/usr/lib/nslab/nslab", "version"]);
    }
}

//! The same lab on FRR and on nslab's own speaker, and the same questions to both.

use std::collections::BTreeMap;

use super::{Lab, until};

/// A lab that is up twice.
pub struct Both {
    frr: Lab,
    builtin: Lab,
}

/// An answer's lines as they are compared: without what differs from one run to the next.
pub type Normal = fn(&str) -> String;

impl Both {
    /// Brings a lab up on both engines.
    #[track_caller]
    pub fn up(text: &str) -> Both {
        let one = |engine: &str| {
            let lab = Lab::new(text);
            lab.ok(["up", "-d", "--engine", engine, lab.file()]);
            lab
        };
        Both {
            frr: one("frr"),
            builtin: one("builtin"),
        }
    }

    /// Says these lines to vtysh's `configure terminal` in a node, one after another.
    #[track_caller]
    pub fn configure(&self, node: &str, lines: &[&str]) {
        for lab in [&self.frr, &self.builtin] {
            let mut words = vec!["exec", node, "vtysh", "-c", "configure terminal"];
            for line in lines {
                words.extend(["-c", line]);
            }
            lab.ok(words);
        }
    }

    /// Runs a shell's line in a node of both.
    #[track_caller]
    pub fn sh(&self, node: &str, line: &str) {
        for lab in [&self.frr, &self.builtin] {
            lab.sh(node, line);
        }
    }

    /// Waits until a shell's line prints this in a node of both.
    #[track_caller]
    pub fn both_say(&self, node: &str, line: &str, wanted: &str) {
        for (engine, lab) in [("frr", &self.frr), ("builtin", &self.builtin)] {
            let mut last = String::new();
            until(&format!("{wanted:?} of `{line}` on {node} on {engine}"), || {
                let said = lab.run(["exec", node, "sh", "-c", line]).out;
                let holds = said.trim() == wanted;
                if !holds && said != last {
                    eprintln!("{engine}: {said}");
                    last = said;
                }
                holds
            });
        }
    }

    /// What both print when these lines are typed into vtysh in a node: FRR, then the speaker.
    #[track_caller]
    pub fn typed(&self, node: &str, lines: &str) -> [String; 2] {
        [&self.frr, &self.builtin].map(|lab| lab.feed(["exec", node, "vtysh"], lines.as_bytes()).expect(0))
    }

    /// Waits until both answer a command alike.
    #[track_caller]
    pub fn agree(&self, node: &str, command: &str, normal: Normal) {
        let ask = |lab: &Lab| {
            let done = lab.run(["exec", node, "vtysh", "-c", command]);
            (done.code, normal(&done.out))
        };
        let mut last = BTreeMap::new();
        until(&format!("the same answer to `{command}` on {node}"), || {
            let (theirs, own) = (ask(&self.frr), ask(&self.builtin));
            let same = theirs == own && !own.1.trim().is_empty();
            let both = BTreeMap::from([("frr", theirs), ("builtin", own)]);
            if !same && both != last {
                for (engine, (code, text)) in &both {
                    eprintln!("--- {engine} {code}\n{text}");
                }
                last = both;
            }
            same
        });
    }
}

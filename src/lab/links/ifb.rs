//! Intermediate functional blocks: what arrives elsewhere is queued here (tc-mirred(8)).

use serde::{Deserialize, Serialize};

use super::{Keys, Making, PLAIN, Sort, Type};

/// An interface for queues of what arrives at others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ifb {}

impl Type for Ifb {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "ifb",
            about: "An interface for queues of what arrives at others.",
            module: "ifb",
            config: "IFB",
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, _: &mut Keys) -> Option<Ifb> {
        Some(Ifb {})
    }

    fn name(&self) -> &'static str {
        "ifb"
    }

    fn label(&self) -> String {
        "ifb".to_owned()
    }

    fn making(&self, link: Option<u32>) -> Making {
        Making::Link(link, Vec::new())
    }
}

//! Interfaces that lead nowhere, and carry addresses.

use serde::{Deserialize, Serialize};

use super::{Keys, Making, PLAIN, Sort, Type};

/// An interface that leads nowhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dummy {}

impl Type for Dummy {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "dummy",
            about: "An interface that leads nowhere.",
            module: "dummy",
            config: "DUMMY",
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, _: &mut Keys) -> Option<Dummy> {
        Some(Dummy {})
    }

    fn name(&self) -> &'static str {
        "dummy"
    }

    fn label(&self) -> String {
        "dummy".to_owned()
    }

    fn making(&self, link: Option<u32>) -> Making {
        Making::Link(link, Vec::new())
    }
}

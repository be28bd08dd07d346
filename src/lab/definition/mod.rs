//! What is known of a kind of node beyond those that nslab plays itself: what its image wants, what its interfaces are called, when
//! it is ready. A kind's file says it ([`crate::kinds`](../../kinds) reads it); a node of the kind gets it when a lab is resolved.

pub mod pattern;
pub mod template;

use std::collections::BTreeMap;
use std::time::Duration;

use super::file::NodeSpec;
use super::model::{Command, HostNeeds, Kind, Probe};
use pattern::Pattern;

/// A kind of node.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Other names of it.
    pub aliases: Vec<String>,
    /// What it is, in a few words.
    pub summary: String,
    /// Where it was read: a path, or none for those that nslab brings along.
    pub place: Option<String>,
    /// As what nslab sees it: a host or a router.
    pub base: Kind,
    /// Whether its nodes need an image.
    pub needs_image: bool,
    /// Its models (`type` of a node), each with what its variables stand for. Where none are known, any text is a model.
    pub types: BTreeMap<String, BTreeMap<String, String>>,
    /// The model of nodes that say none.
    pub default_type: Option<String>,
    /// Variables that go over all links.
    pub lists: BTreeMap<String, List>,
    /// What its interfaces are called: as users write them, and as the kernel has them.
    pub interfaces: Vec<Names>,
    /// What the host must have.
    pub needs: HostNeeds,
    /// What becomes of a license.
    pub license: Option<License>,
    /// Where a first configuration goes, by what it looks like; the first that fits.
    pub startup_config: Vec<StartupConfig>,
    /// What shows that a node is ready.
    pub ready: Option<Probe>,
    /// How long its nodes may take to be ready.
    pub ready_within: Option<Duration>,
    /// What is run in its nodes when they are ready.
    pub after_ready: Vec<Command>,
    /// What keeps the configuration that runs.
    pub save: Option<Command>,
    /// What its nodes have unless the lab says otherwise, with variables in it.
    pub node: NodeSpec,
}

/// A variable that goes over the links of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// What each link adds, with `{interface}` and `{kernel}` in it.
    pub item: String,
    /// What stands between two.
    pub join: String,
}

/// An interface's name, and what the kernel calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// As users write it.
    pub name: Pattern,
    /// As the kernel has it.
    pub kernel: Pattern,
}

/// What becomes of a license.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct License {
    /// Where it goes.
    pub path: String,
    /// What is run once the node is ready.
    pub apply: Vec<Command>,
}

/// What becomes of a first configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartupConfig {
    /// How its text begins, apart from white space; any where nothing is said.
    pub begins: Option<String>,
    /// Where it goes.
    pub path: String,
    /// What is run once the node is ready.
    pub apply: Vec<Command>,
}

impl Definition {
    /// Whether it is known by this name.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// The kernel's name of an interface, where it has another.
    pub fn kernel_name(&self, written: &str) -> Option<String> {
        self.interfaces
            .iter()
            .find_map(|names| names.name.convert(written, &names.kernel))
    }

    /// The name by which users know an interface of the kernel's; the kernel's own where there is none.
    pub fn shown_name(&self, kernel: &str) -> String {
        let mut found = self
            .interfaces
            .iter()
            .filter_map(|names| names.kernel.convert(kernel, &names.name));
        found.next().unwrap_or_else(|| kernel.to_owned())
    }

    /// Whether an interface's name is of no form that the kind has, neither as users write it nor as the kernel does.
    pub fn is_odd_name(&self, written: &str) -> bool {
        let fits = |names: &Names| names.name.fits(written) || names.kernel.fits(written);
        !self.interfaces.is_empty() && !self.interfaces.iter().any(fits)
    }

    /// What becomes of a first configuration with this text.
    pub fn startup(&self, text: &str) -> Option<&StartupConfig> {
        let text = text.trim_start();
        self.startup_config
            .iter()
            .find(|it| it.begins.as_ref().is_none_or(|begins| text.starts_with(begins)))
    }
}

/// The kinds that a lab can use, nearest first.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    /// Those that can be used.
    pub known: Vec<Definition>,
    /// Files with errors in them.
    pub broken: Vec<Broken>,
}

/// A kind's file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The file.
    pub place: String,
    /// The name that it gives, or that of the file.
    pub name: String,
    /// The first error, with its line.
    pub reason: String,
    /// How many of those that can be used are nearer.
    pub behind: usize,
}

impl Kinds {
    /// The kind of this name.
    pub fn find(&self, name: &str) -> Option<&Definition> {
        let at = self.known.iter().position(|kind| kind.is_called(name))?;
        // What a nearer file was to say does not hold of one that is farther.
        let is_hidden = self
            .broken
            .iter()
            .any(|broken| broken.name == name && broken.behind <= at);
        (!is_hidden).then(|| &self.known[at])
    }

    /// Every name, without those that stand for others.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.known.iter().map(|kind| kind.name.as_str())
    }
}

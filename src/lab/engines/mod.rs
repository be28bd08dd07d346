//! What plays routers and Kubernetes nodes: a file an engine, with what others have to know of it, and a line in [`Engine::traits`].
//! What an engine does is in the room `engine`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{EngineChoice, Kind};

mod builtin;
mod frr;
mod kubelet;

/// An engine that was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// FRR's daemons.
    Frr,
    /// nslab's own speaker.
    #[default]
    Builtin,
    /// A kubelet: only for a Kubernetes node.
    Kubelet,
}

/// What others have to know of an engine.
#[derive(Debug)]
pub struct Traits {
    /// Its name in lab files.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// The kinds of nodes that can be left to it.
    pub plays: &'static [Kind],
    /// Capabilities that its programs do not run without.
    pub needs: &'static [&'static str],
    /// Whether its node is a machine of its own, which runs containers: with all rights, cgroups, and more of memory and processes.
    pub is_machine: bool,
    /// Whether its nodes are a Kubernetes, which has an API server, names and a proxy of its own.
    pub is_kubernetes: bool,
    /// Whether it stands in for FRR in a node whose own commands start that.
    pub stands_in: bool,
    /// Whether it can be part of an image.
    pub is_in_images: bool,
    /// Whether it can go on without the lines of a configuration that it does not take.
    pub may_lose_lines: bool,
    /// What is said of a node that it plays where only root can make one.
    pub needs_root: Option<&'static str>,
    /// What a node waits for first.
    pub starts: &'static str,
    /// The processes whose last words say why a node is not ready.
    pub telling: &'static [&'static str],
    /// How long its processes have to end.
    pub grace: Duration,
}

/// What most engines are.
const USUAL: Traits = Traits {
    name: "",
    about: "",
    plays: &[Kind::Router],
    needs: &[],
    is_machine: false,
    is_kubernetes: false,
    stands_in: false,
    is_in_images: true,
    may_lose_lines: false,
    needs_root: None,
    starts: "its routing daemons",
    telling: &[],
    grace: GRACE,
};

/// How long the processes of a node have to end.
pub const GRACE: Duration = Duration::from_secs(2);

impl Engine {
    /// All there are, as lab files and commands choose them.
    pub const ALL: [Engine; 3] = [Engine::Frr, Engine::Builtin, Engine::Kubelet];

    /// What others have to know of it.
    pub fn traits(self) -> &'static Traits {
        match self {
            Engine::Frr => &frr::TRAITS,
            Engine::Builtin => &builtin::TRAITS,
            Engine::Kubelet => &kubelet::TRAITS,
        }
    }

    /// The engine a node gets: its own choice, or the host's for `auto`.
    pub fn chosen(choice: EngineChoice, auto: Engine) -> Engine {
        match choice {
            EngineChoice::Auto => auto,
            EngineChoice::Engine(engine) => engine,
        }
    }

    /// Its name in lab files.
    pub fn name(self) -> &'static str {
        self.traits().name
    }
}

impl EngineChoice {
    /// Words and choices, as lab files and commands have them.
    pub fn words() -> Vec<(&'static str, EngineChoice)> {
        let engines = Engine::ALL.map(|engine| (engine.name(), EngineChoice::Engine(engine)));
        [("auto", EngineChoice::Auto)]
            .into_iter()
            .chain(engines)
            .collect()
    }

    /// The choice of a word.
    pub fn of(word: &str) -> Option<EngineChoice> {
        let words = EngineChoice::words();
        words
            .into_iter()
            .find_map(|(name, choice)| (name == word).then_some(choice))
    }

    /// What is known of the engine that was chosen; nothing where that is left open.
    pub fn traits(self) -> Option<&'static Traits> {
        match self {
            EngineChoice::Auto => None,
            EngineChoice::Engine(engine) => Some(engine.traits()),
        }
    }

    /// Whether a node of this kind can be left to what was chosen.
    pub fn plays(self, kind: Kind) -> bool {
        let plays = |engine: &Engine| engine.traits().plays.contains(&kind);
        match self {
            EngineChoice::Auto => Engine::ALL.iter().any(plays),
            EngineChoice::Engine(engine) => plays(&engine),
        }
    }

    /// Whether a Kubernetes was chosen.
    pub fn is_kubernetes(self) -> bool {
        self.traits().is_some_and(|traits| traits.is_kubernetes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_found_by_its_name_and_saved_by_it() {
        for engine in Engine::ALL {
            assert_eq!(
                EngineChoice::of(engine.name()),
                Some(EngineChoice::Engine(engine))
            );
            assert_eq!(serde_json::to_value(engine).unwrap(), engine.name());
        }
        assert_eq!(EngineChoice::of("auto"), Some(EngineChoice::Auto));
        assert_eq!(EngineChoice::of(""), None);
    }

    #[test]
    fn every_kind_that_an_engine_plays_can_be_left_open() {
        for kind in [Kind::Router, Kind::K8s] {
            assert!(EngineChoice::Auto.plays(kind), "{kind:?}");
        }
        assert!(!EngineChoice::Auto.plays(Kind::Host));
        assert!(!EngineChoice::Engine(Engine::Frr).plays(Kind::K8s));
    }
}

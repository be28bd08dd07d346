//! The option `--engine` of several verbs.

use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::lab::engines::Engine;
use crate::lab::model::{EngineChoice, Kind, Lab, Node};

/// The words it takes, with what each means.
pub fn described() -> PossibleValuesParser {
    let auto = PossibleValue::new("auto").help("FRR where it is installed, else nslab's own speaker");
    let engines = Engine::ALL.map(|it| PossibleValue::new(it.name()).help(it.traits().about));
    PossibleValuesParser::new(std::iter::once(auto).chain(engines))
}

/// The words it takes.
pub fn words() -> PossibleValuesParser {
    PossibleValuesParser::new(EngineChoice::words().into_iter().map(|(word, _)| word))
}

/// Leaves nodes to the engines that were asked for. Each concerns the kinds of nodes that it can play; the last one holds.
pub fn choose(lab: &mut Lab, asked: &[String]) {
    for choice in asked.iter().filter_map(|word| EngineChoice::of(word)) {
        let plays = |node: &&mut Node| {
            let is_played = node.kind == Kind::K8s || node.config.is_some() || node.starts_frr();
            choice.plays(node.kind) && is_played
        };
        for node in lab.nodes.iter_mut().filter(plays) {
            node.engine = choice;
        }
    }
}

//! What scenarios act and look with: links, flows, the timeline.

use std::time::Duration;

use super::act::Halt;
use super::observed::{Change, FlowSeen};
use crate::check::stop::Stop;
use crate::failure::Failure;
use crate::lab::scenario::{End, Scenario};
use crate::run::directory::LabDirectory;

pub enum LinkAction {
    Down,
    Up,
    Silence,
    Clear,
    AsPlanned,
}
pub fn now() -> u64 {
    0
}
pub fn link(_lab: &LabDirectory, _end: &End, _action: &LinkAction) -> Result<(), Failure> {
    Err(Failure::host("later"))
}
pub fn until_quiet(_: &LabDirectory, _: Duration, _: Duration, _: &Stop) -> Result<(), Halt> {
    Ok(())
}
pub fn changes(_: &LabDirectory, _: u64, _: u64) -> Result<(Vec<Change>, u64), Failure> {
    Ok((Vec::new(), 0))
}
pub struct Flows;
impl Flows {
    pub fn start(_: &LabDirectory, _: &Scenario, _: &Stop) -> Result<Option<Flows>, Failure> {
        Ok(None)
    }
    pub fn finish(self, _: &LabDirectory, _: &Stop) -> Result<Vec<FlowSeen>, Failure> {
        Ok(Vec::new())
    }
}
pub struct Pair {
    pub from: String,
    pub to: String,
}
pub struct Count {
    pub name: String,
    pub sent: u64,
    pub received: u64,
}
pub struct PairFlows {
    names: Vec<String>,
}
impl PairFlows {
    pub fn start(_: &LabDirectory, _: &[Pair], _: u32) -> Result<PairFlows, Failure> {
        Ok(PairFlows { names: Vec::new() })
    }
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
    pub fn counts(&self, _: &LabDirectory) -> Result<Vec<Count>, Failure> {
        Ok(Vec::new())
    }
    pub fn finish(self, _: &LabDirectory) -> Result<Vec<FlowSeen>, Failure> {
        Ok(Vec::new())
    }
}

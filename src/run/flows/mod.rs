//! Flows of a living lab: what commands ask, the supervisor that passes it on, and the process that sends and receives.

mod connection;
mod departures;
mod desk;
mod engine;
mod live;
mod networks;
mod path;
mod places;
pub mod process;
pub(super) mod supervise;
mod topology;
mod wire;

use super::client::Client;
use super::directory::LabDirectory;
use super::protocol::{FlowReport, FlowRequest, Reply, Request};
use crate::failure::Failure;
use crate::lab::flow::Flow;

/// Flows of which what was over time is told at a time.
const AT_ONCE: usize = 64;

/// Starts flows of the lab file; all where none is named. Returns when all of them send.
///
/// # Errors
/// There is no such flow, or one cannot be started: then none is.
pub fn start(lab: &LabDirectory, names: &[String]) -> Result<Vec<FlowReport>, Failure> {
    let names = names.to_vec();
    ask(lab, FlowRequest::Start { names })
}

/// Starts flows that no file names.
///
/// # Errors
/// One of them cannot be started: then none is.
pub fn run(lab: &LabDirectory, flows: Vec<Flow>) -> Result<Vec<FlowReport>, Failure> {
    ask(lab, FlowRequest::Run { flows })
}

/// Stops flows, all where none is named, and tells what became of them once nothing of them is on its way any more.
///
/// # Errors
/// There is no such flow.
pub fn stop(lab: &LabDirectory, names: &[String]) -> Result<Vec<FlowReport>, Failure> {
    let names = names.to_vec();
    ask(lab, FlowRequest::Stop { names })
}

/// What has become of flows so far, of all where none is named; with `path`, their ways are found out anew.
///
/// # Errors
/// There is no such flow.
pub fn report(lab: &LabDirectory, names: &[String], path: bool) -> Result<Vec<FlowReport>, Failure> {
    let names = names.to_vec();
    ask(
        lab,
        FlowRequest::Report {
            names,
            series: false,
            path,
        },
    )
}

/// As [`report`], with what was sent and received over time.
///
/// # Errors
/// There is no such flow.
pub fn series(lab: &LabDirectory, names: &[String]) -> Result<Vec<FlowReport>, Failure> {
    let all = report(lab, names, false)?;
    let names: Vec<String> = all.into_iter().map(|it| it.name).collect();
    let mut found = Vec::new();
    for names in names.chunks(AT_ONCE) {
        found.extend(ask(
            lab,
            FlowRequest::Report {
                names: names.to_vec(),
                series: true,
                path: false,
            },
        )?);
    }
    Ok(found)
}

fn ask(lab: &LabDirectory, request: FlowRequest) -> Result<Vec<FlowReport>, Failure> {
    match Client::connect(lab)?.ask(&Request::Flow(request))? {
        (Reply::Flows(reports), _) => Ok(reports),
        _ => Err(Failure::host("an unexpected answer from the lab")),
    }
}

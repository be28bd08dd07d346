//! Asking in a process of its own. In a lab without root a namespace can only be entered after the lab's user namespace, which
//! takes a process with a single thread (setns(2)).

use std::fs::File;
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::ask;
use super::stop::Stop;
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::{output, user_namespace};
use crate::lab::check::Question;
use crate::run::holder;

/// The hidden verb; what is asked, and where, follows as JSON.
const VERB: &str = "ask-node";

/// What is asked, and where.
#[derive(Serialize, Deserialize)]
struct HelperRequest {
    /// The lab's supervisor, and the number of its descriptor of the node's network namespace.
    supervisor: i32,
    network: i32,
    question: Question,
}

/// Asks in a process of its own, which is killed at the deadline.
///
/// # Errors
/// It cannot be started, or does not answer.
pub fn ask(
    supervisor: i32,
    network: i32,
    question: &Question,
    deadline: Instant,
    stop: &Stop,
) -> Result<Answer, Failure> {
    let request = HelperRequest {
        supervisor,
        network,
        question: question.clone(),
    };
    let request = serde_json::to_string(&request).map_err(|error| Failure::host(error.to_string()))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg(VERB).arg(request);
    let done = output::run(&mut command, deadline, Some(stop))?;
    if done.status.is_none() {
        return Ok(Answer::Broken("there was no answer in time".to_owned()));
    }
    serde_json::from_slice(&done.out).map_err(|error| {
        let said = String::from_utf8_lossy(&done.errors).trim().to_owned();
        Failure::host(match said.is_empty() {
            true => format!("the process that was to ask gave no answer: {error}"),
            false => said,
        })
    })
}

/// If the command line is that of this verb: does what it says. Returns the exit status.
pub fn called(words: &[String]) -> Option<i32> {
    let [_, verb, request] = words else { return None };
    if verb != VERB {
        return None;
    }
    let answer = serde_json::from_str(request).map_err(|error| Failure::wrong(error.to_string()));
    match answer.and_then(|request| run(&request)) {
        Ok(answer) => {
            println!("{}", serde_json::to_string(&answer).unwrap_or_default());
            Some(0)
        }
        Err(failure) => {
            eprintln!("{failure}");
            Some(1)
        }
    }
}

fn run(request: &HelperRequest) -> Result<Answer, Failure> {
    let network = holder::network(request.supervisor, request.network)?;
    let users = format!("/proc/{}/ns/user", request.supervisor);
    let users = File::open(&users).attempt(|| format!("open {users}"))?;
    user_namespace::enter(&users)?;
    let answer = network.run(|| ask::from_inside(&request.question))?;
    answer.ok_or_else(|| Failure::host("this is not asked from inside a network namespace"))
}

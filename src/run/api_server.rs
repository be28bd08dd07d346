//! The supervisor's side of a real API server: what the operator in the control plane's node says, and what it is asked for.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::cluster;
use super::events::What;
use super::inside::Inside;
use super::lines::Lines;
use super::protocol::Changed;
use super::state::Living;
use crate::engine::operator::{ApiRequest, News, NodeView, Status};
use crate::engine::{self, operator};
use crate::failure::Failure;

/// How long the API server and the agents may take for a request.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing that the operator says is longer, in bytes: some thousands of objects.
const LONGEST: usize = 8 << 20;

/// What is said of an operator that says more.
const TOO_MUCH: &str =
    "the cluster has more than 8 MB of objects that have a meaning for BGP; agents go on as before";

/// How long the operator may take to say a line it has begun.
const A_LINE: Duration = Duration::from_secs(10);

/// After something the operator said nothing is heard of it for as long as that took, up to this. Whoever may write to the API
/// server decides how often it speaks, and is not to get all the time of the lab for that.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// How many troubles are told at a time, and how many bytes of each.
const MOST_TROUBLES: usize = 100;
const LONGEST_TROUBLE: usize = 1000;

/// Between two looks for the operator's socket.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a request: a line an object, and whether one was not there.
type Outcome = Result<(Vec<String>, bool), Failure>;

/// The way to the operator of a lab's cluster.
pub struct Line {
    requests: watch::Sender<Option<UnboundedSender<ApiRequest>>>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<Outcome>>>,
    next: Cell<u64>,
    /// The nodes as the cluster sees them.
    views: RefCell<Vec<NodeView>>,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            requests: watch::Sender::new(None),
            waiting: RefCell::default(),
            next: Cell::new(1),
            views: RefCell::default(),
        }
    }
}

impl Line {
    /// A node as the cluster sees it.
    pub fn view(&self, node: &str) -> Option<NodeView> {
        self.views.borrow().iter().find(|view| view.name == node).cloned()
    }

    /// Applies objects. Returns once the agents obey.
    ///
    /// # Errors
    /// The API server refuses, or does not answer.
    pub async fn apply(&self, objects: Vec<Value>) -> Result<Changed, Failure> {
        self.request(|id| ApiRequest::Apply(id, objects)).await
    }

    /// Deletes objects. Returns once the agents obey.
    ///
    /// # Errors
    /// As [`Line::apply`].
    pub async fn delete(&self, objects: Vec<Value>) -> Result<Changed, Failure> {
        self.request(|id| ApiRequest::Delete(id, objects)).await
    }

    async fn request(&self, request: impl FnOnce(u64) -> ApiRequest) -> Result<Changed, Failure> {
        let silent = || {
            Failure::not_ready("the lab's API server does not answer")
                .help("`nslab ps` shows its node, and `nslab logs` what its programs said")
        };
        let asking = async {
            let mut requests = self.requests.subscribe();
            let line = requests.wait_for(Option::is_some).await.ok()?.clone()?;
            let id = self.next.replace(self.next.get() + 1);
            let (done, is_done) = oneshot::channel();
            self.waiting.borrow_mut().insert(id, done);
            line.send(request(id)).ok()?;
            is_done.await.ok()
        };
        let outcome = timeout(PATIENCE, asking).await.ok().flatten();
        let (lines, missing) = outcome.ok_or_else(silent)??;
        Ok(Changed {
            lines,
            warnings: Vec::new(),
            missing,
        })
    }

    fn done(&self, id: u64, outcome: Outcome) {
        if let Some(waiting) = self.waiting.borrow_mut().remove(&id) {
            // Whoever asked may have lost patience.
            let _ = waiting.send(outcome);
        }
    }
}

/// Starts the operator where the control plane is, and follows it for as long as the node lives.
pub fn start(inside: &Inside) {
    let (lab, node, init) = (Rc::clone(&inside.lab), inside.node, Rc::clone(&inside.init));
    engine::Inside::service(inside, operator::process(lab.cluster.has_agents()));
    inside.keep(async move {
        // Each is told once, however often the operator is started again.
        let mut troubles = BTreeSet::new();
        loop {
            if let Ok(stream) = cluster::connect(&init, operator::SOCKET).await {
                // It ends when the operator does.
                let followed = follow(&lab, node, stream, &mut troubles).await;
                if followed.is_err_and(|error| error.kind() == ErrorKind::FileTooLarge) {
                    tell(&lab, node, news(&mut troubles, vec![TOO_MUCH.to_owned()]));
                    tokio::time::sleep(A_LINE).await;
                }
                lab.cluster.line.requests.send_replace(None);
                lab.cluster.line.waiting.borrow_mut().clear();
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
}

async fn follow(
    lab: &Rc<Living>,
    node: usize,
    stream: UnixStream,
    troubles: &mut BTreeSet<String>,
) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = Lines::new(reading, LONGEST, A_LINE);
    let (sender, mut requests) = unbounded_channel();
    let line = &lab.cluster.line;
    let mut rested = std::pin::pin!(sleep_until(Instant::now()));
    loop {
        let request = tokio::select! {
            said = lines.next(), if rested.is_elapsed() => match said? {
                Some(text) => {
                    let began = Instant::now();
                    let request = hear(lab, node, &text, troubles).await;
                    let rest = began.elapsed().min(LONGEST_REST);
                    rested.as_mut().reset(Instant::now() + rest);
                    request
                }
                None => return Ok(()),
            },
            () = &mut rested, if !rested.is_elapsed() => None,
            request = requests.recv() => request,
        };
        if let Some(request) = request {
            let mut text = serde_json::to_string(&request)?;
            text.push('\n');
            timeout(PATIENCE, writing.write_all(text.as_bytes())).await??;
        }
        line.requests.send_if_modified(|now| {
            // Once everything was read, there is somebody to send requests to.
            let first = now.is_none() && lab.cluster.has_heard();
            if first {
                *now = Some(sender.clone());
            }
            first
        });
    }
}

/// Does what follows from something that the operator says; what is to be said of it comes back.
async fn hear(
    lab: &Rc<Living>,
    node: usize,
    text: &[u8],
    troubles: &mut BTreeSet<String>,
) -> Option<ApiRequest> {
    match serde_json::from_slice(text).ok()? {
        News::Objects(objects) => {
            let (statuses, told) = cluster::take(lab, &objects).await;
            tell(lab, node, news(troubles, told));
            let told = statuses.into_iter().map(|(of, status)| Status { of, status });
            return Some(ApiRequest::Tell(told.collect()));
        }
        News::Nodes(views) => {
            let before = lab.cluster.line.views.replace(views);
            if local_services(&before) != local_services(&lab.cluster.line.views.borrow()) {
                let told = cluster::look_again(lab).await;
                tell(lab, node, news(troubles, told));
            }
        }
        News::Done(id, lines, missing) => lab.cluster.line.done(id, Ok((lines, missing))),
        News::Refused(id, why) => {
            let failure = Failure::not_ready(format!("the API server refuses: {why}"));
            lab.cluster.line.done(id, Err(failure));
        }
    }
    None
}

/// What each node answers for, of services that answer only where their pods are.
fn local_services(views: &[NodeView]) -> BTreeSet<(&str, &BTreeSet<(String, String)>)> {
    let with_some = views.iter().filter(|view| !view.local_services.is_empty());
    with_some
        .map(|view| (view.name.as_str(), &view.local_services))
        .collect()
}

fn tell(lab: &Living, node: usize, messages: Vec<String>) {
    for message in messages {
        lab.tell(What::Trouble {
            node: lab.plan.nodes[node].name.clone(),
            message,
        });
    }
}

/// What is new among what is to be said: of that which was said before and still holds nothing is said again. Both have a limit.
fn news(known: &mut BTreeSet<String>, told: Vec<String>) -> Vec<String> {
    let cut = |mut message: String| {
        if message.len() > LONGEST_TROUBLE {
            message.truncate(message.floor_char_boundary(LONGEST_TROUBLE));
            message.push('…');
        }
        message
    };
    let now: BTreeSet<String> = told.into_iter().take(MOST_TROUBLES).map(cut).collect();
    let new = now.difference(known).cloned().collect();
    *known = now;
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_said_once_and_forgotten_when_it_is_over() {
        let mut known = BTreeSet::new();
        let mut say = |words: &[&str]| news(&mut known, words.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(say(&["a", "b"]), ["a", "b"]);
        assert_eq!(say(&["b", "c"]), ["c"]);
        assert!(say(&[]).is_empty());
        assert_eq!(say(&["a"]), ["a"]);
    }

    #[test]
    fn what_is_said_has_a_limit() {
        let mut known = BTreeSet::new();
        let many = (0..100_000).map(|number| format!("{number} {}", "ä".repeat(10_000)));
        let said = news(&mut known, many.take(500).collect());
        assert_eq!(said.len(), MOST_TROUBLES);
        assert!(said.iter().all(|it| it.len() <= LONGEST_TROUBLE + "…".len()));
        assert_eq!(known.len(), MOST_TROUBLES);
    }
}

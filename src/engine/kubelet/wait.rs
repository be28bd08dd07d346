//! Waiting for the parts of a cluster, from inside a node: for their own health endpoints, and for what the API server hears of
//! a node.

use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Config};
use tokio::time::{sleep, timeout};

use super::client;
use crate::failure::Failure;
use crate::kernel::event_loop;

/// The hidden verb; what is waited for follows.
pub const VERB: &str = "kubernetes-wait";
/// A kubelet's own way to the API server.
pub const OWN: &str = "/etc/kubernetes/kubelet.conf";
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a question may take that need not be answered.
const SHORT: Duration = Duration::from_secs(1);

/// Waits: `healthy URL`, `api-server`, `registered NODE`, `ready NODE HEARTBEAT`; or prints a node's `heartbeat NODE`. Returns the exit status.
pub fn main(words: &[String]) -> i32 {
    let runtime = event_loop::start();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(wait(words)),
        Err(error) => Err(Failure::host(error.to_string())),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("{failure}");
            1
        }
    }
}

async fn wait(words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["healthy", url] => healthy(url).await,
        ["api-server"] => answers(&client::connect(OWN).await?, "/readyz").await,
        ["heartbeat", node] => {
            let nodes: Api<Node> = Api::all(client::connect(OWN).await?);
            // A node that nobody knows yet, or of which nobody can be asked, has none.
            let asked = timeout(SHORT, nodes.get_opt(node)).await;
            let known = asked.ok().and_then(Result::ok).flatten();
            println!("{}", known.map(|it| State::of(&it).heartbeat).unwrap_or_default());
            Ok(())
        }
        ["registered", node] => seen(node, |state| state.registered).await,
        ["ready", node, before @ ..] => {
            let before = before.first().copied().unwrap_or_default();
            seen(node, |state| state.ready && state.heartbeat != before).await
        }
        _ => Err(Failure::wrong(format!(
            "{VERB} is a verb that nslab runs itself under"
        ))),
    }
}

/// Until a health endpoint says that all is well. Whose certificate it shows does not matter: it is asked on this node's own
/// loopback, and told nothing.
async fn healthy(url: &str) -> Result<(), Failure> {
    let wrong = |error: String| Failure::wrong(format!("{url}: {error}"));
    let whole: http::Uri = url.parse().map_err(|_| wrong("no URL".to_owned()))?;
    let path = whole.path().to_owned();
    // Paths are added to what the server's address has.
    let server = url.strip_suffix(&path).unwrap_or(url).parse();
    let mut configuration = Config::new(server.map_err(|_| wrong("no URL".to_owned()))?);
    configuration.accept_invalid_certs = true;
    let client = Client::try_from(configuration).map_err(|error| wrong(error.to_string()))?;
    answers(&client, &path).await
}

async fn answers(client: &Client, path: &str) -> Result<(), Failure> {
    loop {
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(|error| Failure::wrong(format!("{path}: {error}")))?;
        if client.request_text(request).await.is_ok() {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

/// What the API server has heard of a node.
#[derive(Default)]
struct State {
    /// Whether its kubelet has told of it.
    registered: bool,
    ready: bool,
    heartbeat: String,
    message: String,
}

impl State {
    fn of(node: &Node) -> State {
        let conditions = node.status.iter().flat_map(|it| it.conditions.iter().flatten());
        let ready = conditions.into_iter().find(|it| it.type_ == "Ready");
        let Some(ready) = ready else {
            return State::default();
        };
        State {
            registered: true,
            ready: ready.status == "True",
            heartbeat: ready
                .last_heartbeat_time
                .as_ref()
                .map(|it| it.0.to_string())
                .unwrap_or_default(),
            message: ready.message.clone().unwrap_or_default(),
        }
    }
}

/// Until the API server has heard something of a node. What the node says of itself meanwhile is printed.
async fn seen(node: &str, holds: impl Fn(&State) -> bool) -> Result<(), Failure> {
    let nodes: Api<Node> = Api::all(client::connect(OWN).await?);
    let only = watcher::Config::default().fields(&format!("metadata.name={node}"));
    let mut watch = watcher::watcher(nodes, only).boxed();
    let mut said = String::new();
    while let Some(event) = watch.next().await {
        let state = match event {
            Ok(Event::Apply(node) | Event::InitApply(node)) => State::of(&node),
            Ok(_) => continue,
            // It does not answer yet.
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        if holds(&state) {
            return Ok(());
        }
        if state.message != said {
            println!("{}", state.message);
            said = state.message;
        }
    }
    Ok(())
}

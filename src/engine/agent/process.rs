//! The agent's process: one thread, a task for each virtual router, and a socket.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use super::router::{self, Command};
use super::{MEMORY, Reply, Request, SOCKET};
use crate::cilium::Instance;
use crate::cilium::state::{Answer, Query};
use crate::engine::socket::listen;
use crate::engine::speaker::process::log;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::{event_loop, signals};

/// How many wishes of a router may wait.
const QUEUE: usize = 16;
/// How long routers may take to take their leave.
const FAREWELL: Duration = Duration::from_millis(300);

/// Runs the process of the node it is in, until a signal ends it.
pub fn main(node: &str) -> i32 {
    let runtime = event_loop::start();
    let outcome = match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, run(node)),
        Err(error) => Err(Failure::host(format!("cannot start the agent: {error}"))),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            log(&failure.to_string());
            1
        }
    }
}

async fn run(node: &str) -> Result<(), Failure> {
    let signals = signals::watch()?;
    let signals = UnixStream::from_std(signals).attempt(|| "watch for signals")?;
    let agent = Rc::new(Mutex::new(Agent {
        node: node.to_owned(),
        routers: BTreeMap::new(),
    }));
    agent.lock().await.configure(recall()).await;
    let listener = listen(Path::new(SOCKET))?;
    tokio::select! {
        () = serve_all(listener, &agent) => {}
        _ = signals.readable() => {}
    }
    agent.lock().await.end().await;
    Ok(())
}

/// The agent.
struct Agent {
    /// The Kubernetes node's name.
    node: String,
    routers: BTreeMap<String, Running>,
}

/// A virtual router at work.
struct Running {
    commands: Sender<Command>,
    task: JoinHandle<()>,
}

impl Agent {
    /// Makes the virtual routers these.
    async fn configure(&mut self, instances: Vec<Instance>) {
        let gone: Vec<String> = self
            .routers
            .keys()
            .filter(|name| instances.iter().all(|it| it.name != **name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(running) = self.routers.remove(&name) {
                running.end().await;
            }
        }
        for instance in instances {
            let ended = |running: &Running| running.task.is_finished();
            if self.routers.get(&instance.name).is_none_or(ended) {
                let (commands, wishes) = channel(QUEUE);
                let task = spawn_local(router::live(self.node.clone(), wishes));
                self.routers
                    .insert(instance.name.clone(), Running { commands, task });
            }
            if let Some(running) = self.routers.get(&instance.name) {
                let (done, is_done) = oneshot::channel();
                let wish = Command::Configure(Box::new(instance), done);
                if running.commands.send(wish).await.is_ok() {
                    // One that has ended has said why.
                    let _ = is_done.await;
                }
            }
        }
    }

    /// What the routers say.
    async fn ask(&self, query: Query) -> Vec<Answer> {
        let mut answers = Vec::new();
        for running in self.routers.values() {
            let (answer, answered) = oneshot::channel();
            if running.commands.send(Command::Ask(query, answer)).await.is_ok() {
                answers.extend(answered.await);
            }
        }
        answers
    }

    /// Ends all routers.
    async fn end(&mut self) {
        let routers = std::mem::take(&mut self.routers);
        let all = routers.into_values().map(|running| spawn_local(running.end()));
        for ending in all.collect::<Vec<_>>() {
            let _ = ending.await;
        }
    }
}

impl Running {
    /// Neighbors are told; then it is over.
    async fn end(self) {
        drop(self.commands);
        let _ = tokio::time::timeout(FAREWELL, self.task).await;
    }
}

/// What an earlier life was told.
fn recall() -> Vec<Instance> {
    let text = fs::read_to_string(MEMORY).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Remembers what it was told. There may be passwords in it.
fn remember(instances: &[Instance]) -> io::Result<()> {
    let new = format!("{MEMORY}.new");
    let text = serde_json::to_string(instances)?;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, MEMORY)
}

async fn serve_all(listener: UnixListener, agent: &Rc<Mutex<Agent>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let agent = Rc::clone(agent);
                spawn_local(async move {
                    // Whoever has hung up wants no answer.
                    let _ = serve(stream, &agent).await;
                });
            }
            // No descriptors are left, and some may soon be.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: UnixStream, agent: &Mutex<Agent>) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    while let Some(line) = lines.next_line().await? {
        let request: Request = serde_json::from_str(&line)?;
        let reply = match request {
            Request::Configure(instances) => {
                let mut agent = agent.lock().await;
                if let Err(error) = remember(&instances) {
                    log(&format!("cannot write {MEMORY}: {error}"));
                }
                agent.configure(instances).await;
                Reply::Configured
            }
            Request::Query(query) => Reply::Answers(agent.lock().await.ask(query).await),
        };
        let mut text = serde_json::to_string(&reply)?;
        text.push('\n');
        writing.write_all(text.as_bytes()).await?;
    }
    Ok(())
}

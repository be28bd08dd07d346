//! The operator's process: one thread that hears watches and one connection.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{FutureExt as _, StreamExt as _};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::sleep;

use super::mirror::{Mirror, Source};
use super::writing::{self, Written};
use super::{ApiRequest, News, NodeView, SOCKET};
use crate::cilium::{Kind, Outcome, Reference, schema};
use crate::engine::kubelet::{ADMIN, client};
use crate::engine::socket::listen;
use crate::engine::speaker::process::log;
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::{event_loop, signals};

/// Between two attempts while the API server does not answer.
const PAUSE: Duration = Duration::from_millis(100);
/// Secrets of these are of no interest, and there may be many.
const NO_TOKENS: &str = "type!=kubernetes.io/service-account-token";

type Watched = (Source, Result<Event<DynamicObject>, watcher::Error>);

/// Runs the process of the node it is in, until a signal ends it.
pub fn main(with_bgp: bool) -> i32 {
    let runtime = event_loop::start();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(with_bgp)),
        Err(error) => Err(Failure::host(format!("cannot start the operator: {error}"))),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            log(&failure.to_string());
            1
        }
    }
}

async fn run(with_bgp: bool) -> Result<(), Failure> {
    let signals = signals::watch()?;
    let signals = UnixStream::from_std(signals).attempt(|| "watch for signals")?;
    tokio::select! {
        outcome = work(with_bgp) => outcome,
        _ = signals.readable() => Ok(()),
    }
}

async fn work(with_bgp: bool) -> Result<(), Failure> {
    let client = client::connect(ADMIN).await?;
    let mut sources = vec![Source::Pods, Source::Kind(Kind::Node)];
    if with_bgp {
        define(&client).await;
        sources.extend(
            Kind::ALL
                .into_iter()
                .filter(|kind| *kind != Kind::Node && kind.is_watched())
                .map(Source::Kind),
        );
    }
    let listener = listen(Path::new(SOCKET))?;
    let mut operator = Operator {
        watches: sources.iter().map(|source| watch(&client, *source)).collect(),
        client,
        sources,
        mirror: Mirror::default(),
        lab: None,
        pending: Vec::new(),
    };
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => operator.meet(stream).await,
                // No descriptors are left, and some may soon be.
                Err(_) => sleep(PAUSE).await,
            },
            Some(watched) = operator.watches.next() => operator.hear(watched).await,
            line = next_line(&mut operator.lab) => operator.obey(line).await,
        }
    }
}

/// Tells the API server of Cilium's kinds, and returns once it serves them.
async fn define(client: &Client) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let all: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in schema::definitions() {
        let name = definition["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let parameters = PatchParams::apply("nslab").force();
        while let Err(error) = all.patch(&name, &parameters, &Patch::Apply(&definition)).await {
            log(&format!("cannot define {name}: {error}"));
            sleep(PAUSE).await;
        }
    }
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_watched()) {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &Source::Kind(kind).resource());
        // Until then there is no such place.
        while api
            .list(&kube::api::ListParams::default().limit(1))
            .await
            .is_err()
        {
            sleep(PAUSE).await;
        }
    }
}

fn watch(client: &Client, source: Source) -> BoxStream<'static, Watched> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &source.resource());
    let mut configuration = watcher::Config::default();
    if source == Source::Kind(Kind::Secret) {
        configuration = configuration.fields(NO_TOKENS);
    }
    watcher::watcher(api, configuration)
        .map(move |event| (source, event))
        .boxed()
}

struct Operator {
    client: Client,
    sources: Vec<Source>,
    watches: SelectAll<BoxStream<'static, Watched>>,
    mirror: Mirror,
    lab: Option<Connection>,
    pending: Vec<Pending>,
}

/// Whoever is at the other end of the socket, and what was said there last.
struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writing: OwnedWriteHalf,
    objects: Option<Vec<serde_json::Value>>,
    nodes: Vec<NodeView>,
}

/// A request that was fulfilled; the watches have not told everything of it yet.
struct Pending {
    id: u64,
    lines: Vec<String>,
    missing: bool,
    /// Objects, and the version each has at least; none for those that are to be gone.
    awaited: Vec<(Reference, Option<String>)>,
}

async fn next_line(lab: &mut Option<Connection>) -> io::Result<Option<String>> {
    match lab {
        Some(connection) => connection.lines.next_line().await,
        None => std::future::pending().await,
    }
}

impl Operator {
    async fn meet(&mut self, stream: UnixStream) {
        let (reading, writing) = stream.into_split();
        self.lab = Some(Connection {
            lines: BufReader::new(reading).lines(),
            writing,
            objects: None,
            nodes: Vec::new(),
        });
        self.pending.clear();
        self.say_all().await;
    }

    async fn hear(&mut self, first: Watched) {
        let mut next = Some(first);
        while let Some((source, event)) = next {
            match event {
                Ok(event) => self.mirror.take(source, event),
                Err(error) => {
                    log(&format!(
                        "the watch of {} is made anew: {error}",
                        source.resource().plural
                    ));
                    sleep(PAUSE).await;
                }
            }
            next = self.watches.next().now_or_never().flatten();
        }
        self.say_all().await;
    }

    async fn obey(&mut self, line: io::Result<Option<String>>) {
        let Ok(Some(line)) = line else {
            self.lab = None;
            return;
        };
        match serde_json::from_str(&line) {
            Ok(ApiRequest::Apply(id, objects)) => {
                let mut all = Vec::new();
                for object in objects {
                    match writing::apply(&self.client, &object).await {
                        Ok(written) => all.push(written),
                        Err(error) => return self.say(&News::Refused(id, refusal(&error))).await,
                    }
                }
                self.await_all(id, all).await;
            }
            Ok(ApiRequest::Delete(id, objects)) => {
                let mut all = Vec::new();
                for object in objects {
                    match writing::delete(&self.client, &object).await {
                        Ok(written) => all.push(written),
                        Err(error) => return self.say(&News::Refused(id, refusal(&error))).await,
                    }
                }
                self.await_all(id, all).await;
            }
            Ok(ApiRequest::Tell(statuses)) => {
                for told in statuses {
                    if let Err(error) = writing::tell(&self.client, &self.mirror, &told).await {
                        log(&format!(
                            "cannot write the status of {}: {}",
                            told.of,
                            refusal(&error)
                        ));
                    }
                }
            }
            Err(error) => log(&format!("not understood: {error}")),
        }
    }

    async fn await_all(&mut self, id: u64, all: Vec<Written>) {
        self.pending.push(Pending {
            id,
            lines: all.iter().map(|it| it.line.clone()).collect(),
            missing: all.iter().any(|it| it.outcome == Outcome::NotFound),
            awaited: all.into_iter().filter_map(|it| it.awaited).collect(),
        });
        self.say_all().await;
    }

    /// Says what has changed, and then that requests are fulfilled.
    async fn say_all(&mut self) {
        if !self.mirror.has_all(&self.sources) {
            return;
        }
        let (objects, nodes) = (self.mirror.objects(), self.mirror.nodes());
        let Some(lab) = &mut self.lab else { return };
        let mut news = Vec::new();
        if lab.objects.as_ref() != Some(&objects) {
            news.push(News::Objects(objects.clone()));
            lab.objects = Some(objects);
        }
        if lab.nodes != nodes {
            news.push(News::Nodes(nodes.clone()));
            lab.nodes = nodes;
        }
        let watched: BTreeSet<Source> = self.sources.iter().copied().collect();
        let (done, pending) = std::mem::take(&mut self.pending).into_iter().partition(|it| {
            it.awaited.iter().all(|(reference, version)| match version {
                _ if !watched.contains(&Source::Kind(reference.kind)) => true,
                Some(version) => self.mirror.has_seen(reference, version),
                None => self.mirror.get(reference).is_none(),
            })
        });
        self.pending = pending;
        let done: Vec<Pending> = done;
        news.extend(done.into_iter().map(|it| News::Done(it.id, it.lines, it.missing)));
        for news in news {
            self.say(&news).await;
        }
    }

    async fn say(&mut self, news: &News) {
        let Some(lab) = &mut self.lab else { return };
        let Ok(mut line) = serde_json::to_string(news) else {
            return;
        };
        line.push('\n');
        if lab.writing.write_all(line.as_bytes()).await.is_err() {
            self.lab = None;
        }
    }
}

/// What the API server says, without what surrounds it.
fn refusal(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

//! What nslab says of its own work, by the crate tracing: as lines (`-v`, `NSLAB_LOG`), and as a Chrome trace that shows where
//! the time of a start went (`up --trace FILE`). Nothing of it costs anything where nobody asked.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Level, Subscriber};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Names which spans and events are told (`nslab=debug`, or `nslab::kernel=trace,info`), as tracing-subscriber's EnvFilter reads it.
pub const FILTER: &str = "NSLAB_LOG";
/// `json` makes each line an object.
pub const FORMAT: &str = "NSLAB_LOG_FORMAT";

/// No more spans of one process are kept for a trace.
const MOST: usize = 200_000;
/// A span that has a field of this name is in the row of that node, and so is all within it.
const NODE: &str = "node";

/// What is wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// Which lines; none where there is no filter.
    pub filter: Option<String>,
    /// Whether a line is an object.
    pub json: bool,
    /// Whether spans are kept for a trace.
    pub spans: bool,
}

impl Wanted {
    /// From the count of `-v` and the environment, which says more exactly what is wanted and so comes first.
    ///
    /// # Errors
    /// The filter cannot be read; the reason.
    pub fn new(verbosity: u8, spans: bool) -> Result<Wanted, String> {
        let said = std::env::var(FILTER).ok().filter(|text| !text.trim().is_empty());
        let filter = said.or_else(|| match verbosity {
            0 => None,
            1 => Some("nslab=info".to_owned()),
            2 => Some("nslab=debug".to_owned()),
            _ => Some("nslab=trace".to_owned()),
        });
        if let Some(text) = &filter {
            EnvFilter::try_new(text).map_err(|error| format!("{FILTER} cannot be `{text}`: {error}"))?;
        }
        let json = std::env::var(FORMAT).is_ok_and(|text| text == "json");
        Ok(Wanted { filter, json, spans })
    }

    /// Begins to tell, in this process. Returns the spans to come, where they are kept.
    pub fn begin(&self) -> Option<Spans> {
        let spans = self.spans.then(Spans::default);
        if self.filter.is_none() && spans.is_none() {
            return None;
        }
        let lines = self.filter.as_ref().and_then(|text| {
            let filter = EnvFilter::try_new(text).ok()?;
            let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
            let lines = lines.with_span_events(FmtSpan::CLOSE);
            Some(match self.json {
                true => lines.json().with_filter(filter).boxed(),
                false => lines.with_filter(filter).boxed(),
            })
        });
        // Another may have begun before, in a process that does several things.
        let _ = Registry::default().with(lines).with(spans.clone()).try_init();
        spans
    }
}

/// What a command tells, and what its supervisor is to tell.
pub struct Telling {
    /// What is wanted.
    pub wanted: Wanted,
    /// The spans of this process, where they are kept.
    pub spans: Option<Spans>,
}

/// A span that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Span {
    name: String,
    /// Microseconds since 1970.
    began: u64,
    /// Microseconds.
    lasted: u64,
    /// The node it belongs to, if any.
    node: Option<String>,
    /// Its fields.
    fields: HashMap<String, String>,
}

/// The spans of this process that are over.
#[derive(Debug, Clone, Default)]
pub struct Spans(Arc<Mutex<Vec<Span>>>);

impl Spans {
    /// Takes what there is.
    pub fn take(&self) -> Vec<Span> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is known of a span while it lasts.
struct Open {
    began: SystemTime,
    node: Option<String>,
    fields: HashMap<String, String>,
}

#[derive(Default)]
struct Fields(HashMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        // Those of single requests would be too many.
        if *attributes.metadata().level() > Level::DEBUG {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let above = span
            .parent()
            .and_then(|it| it.extensions().get::<Open>()?.node.clone());
        let node = fields.0.get(NODE).cloned().or(above);
        span.extensions_mut().insert(Open {
            began: SystemTime::now(),
            node,
            fields: fields.0,
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else {
            return;
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST {
            kept.push(Span {
                name: span.name().to_owned(),
                began: micros(open.began),
                lasted: open.began.elapsed().map_or(0, whole_micros),
                node: open.node,
                fields: open.fields,
            });
        }
    }
}

fn micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, whole_micros)
}

fn whole_micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Spans of processes, each under its name, as a trace in Chrome's JSON format (which Perfetto reads too): a row for what concerns the
/// whole lab and one for every node, in the order in which they began.
pub fn chrome(processes: &[(&str, Vec<Span>)]) -> serde_json::Value {
    let mut events = Vec::new();
    let first = processes.iter().flat_map(|(_, spans)| spans);
    let start = first.map(|span| span.began).min().unwrap_or(0);
    for (process, (name, spans)) in processes.iter().enumerate() {
        events.push(named("process_name", process, 0, name));
        events.push(named("thread_name", process, 0, "lab"));
        let mut spans: Vec<&Span> = spans.iter().collect();
        // Of those that begin together the outer one first, as viewers want it.
        spans.sort_by_key(|span| (span.began, std::cmp::Reverse(span.lasted)));
        let mut rows: HashMap<&str, usize> = HashMap::new();
        for span in spans {
            let next = rows.len() + 1;
            let row = span.node.as_deref().map_or(0, |node| {
                *rows.entry(node).or_insert_with(|| {
                    events.push(named("thread_name", process, next, node));
                    next
                })
            });
            events.push(serde_json::json!({
                "name": span.name, "ph": "X", "pid": process, "tid": row,
                "ts": span.began - start, "dur": span.lasted, "args": span.fields,
            }));
        }
    }
    serde_json::json!({ "displayTimeUnit": "ms", "traceEvents": events })
}

fn named(what: &str, process: usize, row: usize, name: &str) -> serde_json::Value {
    serde_json::json!({ "name": what, "ph": "M", "pid": process, "tid": row, "args": { "name": name } })
}

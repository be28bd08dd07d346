//! What nslab says of its own work, by the crate tracing: as lines (`-v`, `NSLAB_LOG`), and as a Chrome trace that shows where
//! the time of a start went (`up --trace FILE`). Nothing of it costs anything where nobody asked.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// So many bytes of lines a lab's supervisor writes to its log, which is in the host's memory.
pub const LONGEST_LOG: u64 = 8 << 20;
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

    /// Begins to tell, in this process: no more than `most` bytes of lines. Returns the spans to come, where they are kept.
    pub fn begin(&self, most: u64) -> Option<Spans> {
        let spans = self.spans.then(Spans::default);
        if self.filter.is_none() && spans.is_none() {
            return None;
        }
        let lines = self.filter.as_ref().and_then(|text| {
            let filter = EnvFilter::try_new(text).ok()?;
            let (written, json) = (Arc::new(AtomicU64::new(0)), self.json);
            let writer = move || Bounded {
                to: io::stderr(),
                written: Arc::clone(&written),
                most,
                json,
            };
            let lines = fmt::layer().with_writer(writer).with_ansi(false);
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

/// Writes up to a length, and then a last line that says so.
struct Bounded<W> {
    to: W,
    written: Arc<AtomicU64>,
    most: u64,
    /// Whether a line is an object.
    json: bool,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        let before = self.written.fetch_add(length, Ordering::Relaxed);
        if before.saturating_add(length) <= self.most {
            self.to.write_all(bytes)?;
        } else if before <= self.most {
            let last = format!(
                "nothing more is told here: these are {} bytes, the most there may be",
                self.most
            );
            match self.json {
                true => writeln!(self.to, "{}", serde_json::json!({ "message": last }))?,
                false => writeln!(self.to, "{last}")?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
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

/// The spans of this process that are over; nothing once they were taken.
#[derive(Debug, Clone)]
pub struct Spans(Arc<Mutex<Option<Vec<Span>>>>);

impl Default for Spans {
    fn default() -> Spans {
        Spans(Arc::new(Mutex::new(Some(Vec::new()))))
    }
}

impl Spans {
    /// Takes what there is, once. No more are kept from then on.
    pub fn take(&self) -> Option<Vec<Span>> {
        self.kept().take()
    }

    fn kept(&self) -> MutexGuard<'_, Option<Vec<Span>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        if *attributes.metadata().level() > Level::DEBUG || self.kept().is_none() {
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
        let mut kept = self.kept();
        if let Some(kept) = kept.as_mut().filter(|kept| kept.len() < MOST) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_one_that_says_so() {
        let mut told = Vec::new();
        let written = Arc::new(AtomicU64::new(0));
        for _ in 0..100 {
            // As the subscriber does: a writer for each line.
            let mut bounded = Bounded {
                to: &mut told,
                written: Arc::clone(&written),
                most: 95,
                json: false,
            };
            bounded.write_all(b"12345678\n").unwrap();
        }
        let told = String::from_utf8(told).unwrap();
        assert_eq!(told.lines().count(), 11, "{told}");
        assert!(told.ends_with("the most there may be\n"), "{told}");
        assert_eq!(told.matches("12345678").count(), 10);
    }

    #[test]
    fn no_spans_are_kept_once_they_were_taken() {
        let spans = Spans::default();
        let subscriber = Registry::default().with(spans.clone());
        tracing::subscriber::with_default(subscriber, || {
            let open = tracing::info_span!("open").entered();
            tracing::info_span!("first").in_scope(|| ());
            assert_eq!(spans.take().unwrap().len(), 1);
            tracing::info_span!("second").in_scope(|| ());
            drop(open);
        });
        assert!(spans.take().is_none());
    }
}

//! The supervisor's side of a timeline: what happens in the lab goes in, and pieces go out.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::patience::all_heard;
use super::recorder::{Book, Recorder};
use super::{DroppedOf, PIECE, Piece, Rest};
use crate::failure::Failure;
use crate::kernel::announcements::{monotonic, realtime};
use crate::kernel::output;
use crate::lab::plan::Plan;
use crate::run::events::What;
use crate::run::state::Living;
use crate::timeline::select::{LONGEST_MARK, wrong_mark};

/// How often it is looked whether there is more.
pub const LOOK: Duration = Duration::from_millis(50);

/// Begins to record for a plan; none where nothing is to be kept.
///
/// # Errors
/// No thread can be started, or no descriptors are left.
pub fn start(plan: &Plan, most: u64) -> Result<Option<Recorder>, Failure> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if most == 0 {
        return Ok(None);
    }
    let networks = plan.namespaces.iter().map(|step| step.node.clone());
    let nodes = plan.nodes.iter().map(|step| step.name.clone());
    Recorder::start(networks.collect(), nodes.collect(), most).map(Some)
}

/// Takes an event of the lab into its timeline.
pub fn note(lab: &Living, what: &What) {
    let Some(recorder) = &lab.timeline else { return };
    let told = |node: &String, change: &str, text: String| {
        if let Some(node) = lab.find(node) {
            recorder.told(node, change, &text);
        }
    };
    match what {
        What::Ready { .. } => _ = recorder.mark("ready"),
        What::NodeDied { node, status } => {
            mark(recorder, "died", node);
            told(node, "died", format!("all its processes ended (status {status})"));
        }
        What::NodeRestarting { node } => {
            mark(recorder, "restart", node);
            told(node, "restart", "is started again".to_owned());
        }
        What::NodeStopped { node, .. } => told(node, "stop", "was stopped".to_owned()),
        What::ProcessEnded {
            node,
            process,
            status,
            reason,
            ..
        } => {
            let reason = reason.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
            mark(recorder, "ended", &format!("{node}:{process}"));
            told(
                node,
                "ended",
                format!("{process} ended (status {status}){reason}"),
            );
        }
        What::ProcessStarted { node, process } => told(node, "started", format!("{process} started")),
        What::OutOfMemory { node, .. } => told(node, "out-of-memory", "reached its memory limit".to_owned()),
        What::Trouble { node, message } => told(node, "trouble", message.clone()),
        _ => {}
    }
}

/// Marks that a node begins to be stopped: its links go down before it is told that it was.
pub fn begin_stop(lab: &Living, node: &str) {
    if let (Some(recorder), Some(_)) = (&lab.timeline, lab.find(node)) {
        mark(recorder, "stop", node);
    }
}

/// Marks what became of something, as far as its name is one of marks.
fn mark(recorder: &Recorder, what: &str, of: &str) {
    let mut name = format!("{what} {of}");
    name.truncate(LONGEST_MARK.min(name.floor_char_boundary(LONGEST_MARK)));
    if wrong_mark(&name).is_none() {
        recorder.mark(&name);
    }
}

/// The recorder of a lab that has one.
///
/// # Errors
/// It was started without.
pub fn recorder(lab: &Living) -> Result<&Recorder, Failure> {
    let name = &lab.plan.lab;
    lab.timeline.as_ref().ok_or_else(|| {
        Failure::wrong(format!(
            "lab {name} keeps no timeline: it was started with `--timeline 0`"
        ))
    })
}

/// Marks a time for somebody.
///
/// # Errors
/// That is no name of a mark, or the lab keeps no timeline.
pub async fn mark_for(lab: &Living, name: &str) -> Result<u64, Failure> {
    match wrong_mark(name) {
        Some(wrong) => Err(Failure::wrong(wrong)),
        None => {
            let recorder = recorder(lab)?;
            all_heard(lab).await;
            Ok(recorder.mark(name))
        }
    }
}

/// The next piece from an entry on, with its descriptor.
///
/// # Errors
/// No descriptors or memory are left.
pub fn piece(recorder: &Recorder, from: u64) -> Result<(Piece, Option<OwnedFd>), Failure> {
    let mut bytes = Vec::new();
    let book = recorder.book.open();
    let next = book.store.since(from, PIECE, &mut bytes);
    let mut piece = account(recorder, &book);
    drop(book);
    piece.next = next;
    if from == 0 {
        piece.names.clone_from(&recorder.names);
    }
    let file = (!bytes.is_empty())
        .then(|| output::in_memory(&bytes))
        .transpose()?;
    Ok((piece, file.map(OwnedFd::from)))
}

fn account(recorder: &Recorder, book: &Book) -> Piece {
    let name = |number: u32| recorder.names.get(number as usize).cloned().unwrap_or_default();
    let dropped = book.store.dropped().map(|(node, dropped)| DroppedOf {
        node: name(node),
        entries: dropped.entries,
        until: dropped.until,
    });
    let mut unheard: Vec<(String, String)> = book
        .unheard
        .iter()
        .map(|(node, reason)| (name(*node), reason.clone()))
        .collect();
    unheard.sort();
    let (now, real) = (monotonic(), realtime());
    Piece {
        now,
        ahead: real.cast_signed() - now.cast_signed(),
        dropped: dropped.collect(),
        unheard,
        held: book.store.held(),
        most: book.store.most(),
        ..Piece::default()
    }
}

/// Whether there is something from an entry on.
pub fn has_more(recorder: &Recorder, from: u64) -> bool {
    recorder.book.open().store.next() > from
}

/// No wait for rest is longer, in milliseconds: it outlives who asked for it.
const LONGEST_REST: u64 = 24 * 3600 * 1000;

/// Waits for rest, see [`super::wait_quiet`].
///
/// # Errors
/// The lab keeps no timeline.
pub async fn rest(lab: &Rc<Living>, since: Option<u64>, span_ms: u64, most_ms: u64) -> Result<Rest, Failure> {
    let recorder = recorder(lab)?;
    all_heard(lab).await;
    let nanos = |ms: u64| ms.saturating_mul(1_000_000);
    let began = monotonic();
    let (since, end) = (
        since.unwrap_or(began),
        began.saturating_add(nanos(most_ms.min(LONGEST_REST))),
    );
    loop {
        let last_change = recorder.book.open().store.last_change();
        let now = monotonic();
        let quiet_at = last_change.max(since).saturating_add(nanos(span_ms));
        let is_quiet = now >= quiet_at;
        if is_quiet || now >= end {
            return Ok(Rest {
                is_quiet,
                last_change,
                now,
            });
        }
        sleep(Duration::from_nanos(quiet_at.min(end) - now + 100_000)).await;
    }
}

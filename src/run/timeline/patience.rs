//! When the networks of a lab begin to be heard. For each announcement the kernel goes through the numbers of all that are heard, so
//! that while a large lab comes up, when all of its networks announce much, it would be slower by a fifth. Such a lab is heard from when
//! it has come to rest, or when somebody looks, and a sample of its networks from the beginning.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::recorder::Recorder;
use crate::kernel::announcements::monotonic;
use crate::run::state::Living;

/// Of labs with more networks some are heard later.
const LARGE: usize = 64;
/// So many are heard from the beginning.
const SAMPLE: usize = 4;
/// When nothing has changed in those for so long, the lab has come to rest.
const CALM: Duration = Duration::from_secs(10);
/// No lab is waited for longer once it is ready.
const AT_LAST: Duration = Duration::from_secs(180);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// So many begin to be heard together, and others with a pause after them: nobody waits for it.
const SOME: usize = 4;
const PAUSE: Duration = Duration::from_millis(20);
/// How often it is looked whether all are heard, where somebody waits, and for how long at most.
const SOON: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);

/// Hears the networks of a lab from now on, but those that others make in place of nslab; of a large lab most of them later.
pub fn hear_all(lab: &Rc<Living>) {
    let Some(recorder) = &lab.timeline else { return };
    let own = lab.plan.namespaces.iter().enumerate();
    let own = own.filter(|(_, step)| step.sandbox.is_none());
    let own: Vec<usize> = own.map(|(at, _)| at).collect();
    if own.len() <= LARGE {
        return hear(lab, recorder, &own);
    }
    let is_sample = |place: usize| place.is_multiple_of(own.len() / SAMPLE);
    let (now, later): (Vec<_>, Vec<_>) = own.iter().enumerate().partition(|(place, _)| is_sample(*place));
    let places = |all: Vec<(usize, &usize)>| -> Vec<usize> { all.into_iter().map(|(_, at)| *at).collect() };
    hear(lab, recorder, &places(now));
    recorder.hear_later(places(later));
    tokio::task::spawn_local(when_calm(Rc::clone(lab)));
}

/// Sees to it that all networks are heard, for somebody who looks, and waits until they are.
pub async fn all_heard(lab: &Living) {
    let Some(recorder) = &lab.timeline else { return };
    hear(lab, recorder, &recorder.take_later(usize::MAX));
    let end = Instant::now() + PATIENCE;
    while recorder.waits() && Instant::now() < end {
        sleep(SOON).await;
    }
}

fn hear(lab: &Living, recorder: &Recorder, networks: &[usize]) {
    let namespaces = lab.namespaces.borrow();
    for at in networks {
        if let Some(namespace) = namespaces.get(*at) {
            recorder.hear(*at, namespace);
        }
    }
}

/// Hears the rest once the lab has come to rest.
async fn when_calm(lab: Rc<Living>) {
    let Some(recorder) = &lab.timeline else { return };
    let mut ready: Option<Instant> = None;
    loop {
        sleep(LOOK).await;
        if *lab.stopping.borrow() {
            return;
        }
        if !lab.ready.get() {
            continue;
        }
        let since = ready.get_or_insert_with(Instant::now).elapsed();
        let last = recorder.book.open().store.last_change();
        let is_calm = monotonic().saturating_sub(last) >= CALM.as_nanos() as u64;
        if since >= AT_LAST || (since >= CALM && is_calm) {
            break;
        }
    }
    loop {
        let some = recorder.take_later(SOME);
        if some.is_empty() || *lab.stopping.borrow() {
            return;
        }
        hear(&lab, recorder, &some);
        sleep(PAUSE).await;
    }
}

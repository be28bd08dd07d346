//! What is asked of links, and what the kernel has of them.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::ends::{self, Ends, TAP};
use super::{asked, planned};
use crate::failure::Failure;
use crate::impair::packets::Counts;
use crate::kernel::link::{self, Interface};
use crate::kernel::tc::{self, Queue};
use crate::lab::plan::PortStep;
use crate::run::interfaces::state;
use crate::run::protocol::{LinkReport, LinkThere, LinkWay};
use crate::run::state::Living;

/// What a namespace has.
type Seen = (Vec<Interface>, Vec<Queue>);

/// Those of all links, or of the one with an end of this name.
///
/// # Errors
/// There is no such link.
pub async fn of(lab: &Rc<Living>, endpoint: Option<&str>) -> Result<Vec<LinkReport>, Failure> {
    let wanted: Vec<usize> = match endpoint {
        Some(endpoint) => vec![ends::find(&lab.plan, endpoint)?.0],
        None => (0..lab.plan.links.len()).collect(),
    };
    let counts = counts(lab).await;
    let mut seen = BTreeMap::new();
    Ok(wanted
        .into_iter()
        .map(|at| one(lab, at, &counts, &mut seen))
        .collect())
}

async fn counts(lab: &Rc<Living>) -> BTreeMap<u64, Counts> {
    let delayer = lab.links.delayer.borrow().clone();
    match delayer {
        Some(delayer) => delayer.counts().await.unwrap_or_default().into_iter().collect(),
        None => BTreeMap::new(),
    }
}

fn one(
    lab: &Living,
    at: usize,
    counts: &BTreeMap<u64, Counts>,
    seen: &mut BTreeMap<usize, Seen>,
) -> LinkReport {
    let ends = Ends::of(&lab.plan, at);
    let asked = asked(lab, at);
    let mut there = LinkThere::default();
    for (word, port) in ["a", "b"].into_iter().zip(&ends.ports) {
        let Some(port) = port else { continue };
        let (interfaces, queues) = seen
            .entry(port.namespace)
            .or_insert_with(|| look(lab, port.namespace).unwrap_or_default());
        let found = interfaces.iter().find(|it| it.index == port.index);
        let state = found.map_or("gone", |it| state(it).word()).to_owned();
        match word {
            "a" => there.a = state,
            _ => there.b = Some(state),
        }
        let attached = attached(port, interfaces, queues);
        there
            .attached
            .extend(attached.iter().map(|it| format!("{word}:{it}")));
    }
    {
        let states = lab.links.states.borrow();
        let way = |direction: usize| {
            let carried = states.get(&at)?.carried[direction].as_ref()?;
            Some(LinkWay {
                way: carried.way.to_owned(),
                counts: carried.queue.and_then(|(id, _)| counts.get(&id).copied()),
            })
        };
        (there.a_to_b, there.b_to_a) = (way(0), way(1));
    }
    let [a, b] = ends.names;
    LinkReport {
        a: a.unwrap_or_default(),
        b,
        kind: ends.kind.to_owned(),
        as_planned: asked == planned(lab, at),
        asked,
        there,
    }
}

fn look(lab: &Living, at: usize) -> Result<Seen, Failure> {
    ends::in_namespace(&lab.namespaces.borrow(), at, |namespace| {
        let mut netlink = namespace.netlink()?;
        Ok((link::list(&mut netlink)?, tc::queues(&mut netlink)?))
    })
}

/// What of nslab's is at an interface.
fn attached(port: &PortStep, interfaces: &[Interface], queues: &[Queue]) -> Vec<String> {
    let own = queues
        .iter()
        .filter(|it| it.interface == port.index && (it.kind == "clsact" || it.handle == tc::OWN));
    let tap = format!("{TAP}{:x}", port.index);
    let tap = interfaces
        .iter()
        .any(|it| it.name == tap)
        .then(|| "tap".to_owned());
    own.map(|it| it.kind.clone()).chain(tap).collect()
}

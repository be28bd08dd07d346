//! Interfaces that nodes' own commands make: when one appears, what the lab file says of it is set, and set again whenever it was
//! replaced by another.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};

use super::events::What;
use super::state::Living;
use crate::apply::set_up_late;
use crate::failure::Failure;
use crate::kernel::link;
use crate::kernel::link_watch::LinkWatch;
use crate::lab::plan::NamespaceStep;

/// How long a node waits for its interfaces once all that it runs is there.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often interfaces are looked at, at most.
const PAUSE: Duration = Duration::from_millis(20);
/// They are looked at as often as this though nothing is announced.
const REGULARLY: Duration = Duration::from_secs(5);

/// Which interfaces stand for the numbers of a namespace, and what went wrong with them last.
#[derive(Debug, Default)]
pub struct Late {
    found: HashMap<u32, u32>,
    failure: Option<String>,
}

/// Begins to look for such interfaces, in every namespace that has some.
///
/// # Errors
/// The kernel announces nothing.
pub fn follow(lab: &Rc<Living>) -> Result<(), Failure> {
    let namespaces = lab.namespaces.borrow();
    for (at, step) in lab.plan.namespaces.iter().enumerate() {
        let Some(namespace) = namespaces.get(at).filter(|_| !step.late.interfaces.is_empty()) else {
            continue;
        };
        let watch = namespace.run(LinkWatch::open)?.register()?;
        let lab = Rc::clone(lab);
        spawn_local(async move { look_on(&lab, at, &watch).await });
    }
    Ok(())
}

async fn look_on(lab: &Living, at: usize, watch: &AsyncFd<LinkWatch>) {
    loop {
        if *lab.stopping.borrow() {
            return;
        }
        if let Err(failure) = look(lab, at) {
            let message = failure.message;
            let told = lab
                .late
                .borrow_mut()
                .entry(at)
                .or_default()
                .failure
                .replace(message.clone());
            if told.as_ref() != Some(&message) {
                lab.tell(What::Trouble {
                    node: lab.plan.namespaces[at].node.clone(),
                    message,
                });
            }
        }
        sleep(PAUSE).await;
        if let Ok(Ok(mut ready)) = timeout(REGULARLY, watch.readable()).await {
            // Cleared first: what comes while it is read makes it ready again.
            ready.clear_ready();
            watch.get_ref().read();
        }
    }
}

/// Sets up what has appeared since.
fn look(lab: &Living, at: usize) -> Result<(), Failure> {
    let step: &NamespaceStep = &lab.plan.namespaces[at];
    let namespaces = lab.namespaces.borrow();
    let Some(namespace) = namespaces.get(at) else {
        return Ok(());
    };
    let mut netlink = namespace.netlink()?;
    let there = link::list(&mut netlink)?;
    let now: HashMap<u32, u32> = step
        .late
        .interfaces
        .iter()
        .filter_map(|late| {
            let found = there.iter().find(|it| it.name == late.name)?;
            Some((late.stand_in, found.index))
        })
        .collect();
    let before = lab
        .late
        .borrow()
        .get(&at)
        .map(|late| late.found.clone())
        .unwrap_or_default();
    let fresh: Vec<_> = step
        .late
        .interfaces
        .iter()
        .filter_map(|late| Some((late, *now.get(&late.stand_in)?)))
        .filter(|(late, index)| before.get(&late.stand_in) != Some(index))
        .collect();
    if !fresh.is_empty() {
        let find = |index: u32| match step.late.interfaces.iter().any(|it| it.stand_in == index) {
            true => now.get(&index).copied(),
            false => Some(index),
        };
        set_up_late(step, &fresh, &mut netlink, namespace, &find)?;
    }
    let mut all = lab.late.borrow_mut();
    let late = all.entry(at).or_default();
    late.found = now;
    late.failure = None;
    Ok(())
}

/// Waits until the interfaces of a node that its own commands make are there and set up.
///
/// # Errors
/// They do not come in time, or cannot be set up.
pub async fn until_there(lab: &Living, node: usize) -> Result<(), Failure> {
    let step = &lab.plan.nodes[node];
    let Some(at) = step.namespace.filter(|_| !step.late.is_empty()) else {
        return Ok(());
    };
    let began = Instant::now();
    loop {
        let missing = missing(lab, at, &step.late);
        let Some(first) = missing.first() else {
            return Ok(());
        };
        lab.nodes[node]
            .waiting_for
            .replace(format!("interface {}", missing.join(", ")));
        if began.elapsed() > PATIENCE {
            return Err(overdue(lab, at, node, first));
        }
        sleep(PAUSE).await;
    }
}

fn missing<'a>(lab: &Living, at: usize, wanted: &'a [String]) -> Vec<&'a str> {
    let all = lab.late.borrow();
    let found = all.get(&at).map(|late| &late.found);
    let is_there = |name: &&str| {
        let late = lab.plan.namespaces[at].late.interfaces.iter();
        let stand_in = late.filter(|it| it.name == **name).map(|it| it.stand_in).next();
        stand_in.is_some_and(|it| found.is_some_and(|found| found.contains_key(&it)))
    };
    wanted
        .iter()
        .map(String::as_str)
        .filter(|name| !is_there(name))
        .collect()
}

fn overdue(lab: &Living, at: usize, node: usize, interface: &str) -> Failure {
    let name = &lab.plan.nodes[node].name;
    if let Some(failure) = lab.late.borrow().get(&at).and_then(|late| late.failure.clone()) {
        return Failure::host(format!(
            "interface {interface} of {name}, which came late: {failure}"
        ));
    }
    let listed = lab
        .namespaces
        .borrow()
        .get(at)
        .and_then(|namespace| link::list(&mut namespace.netlink().ok()?).ok());
    let names: Vec<String> = listed.into_iter().flatten().map(|it| it.name).collect();
    let message = format!(
        "interface {interface} of {name}, of which the lab file says `late = true`, has not come within {} s",
        PATIENCE.as_secs()
    );
    let help = format!(
        "the node's own commands (`exec`, `run`) make it; it has {}",
        names.join(", ")
    );
    Failure::not_ready(message).help(help)
}

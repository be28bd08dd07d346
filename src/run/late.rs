//! Interfaces that nodes' own commands make: when one appears, what the lab file says of it is set, and set again whenever it was
//! replaced by another.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};

use super::events::What;
use super::state::Living;
use crate::apply::{add_late_routes, set_up_late};
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
/// What could not be set up is tried again after so long, then after twice as long each time up to the most: each attempt may
/// itself be announced.
const LEAST_REST: Duration = Duration::from_millis(200);
const MOST_REST: Duration = Duration::from_secs(30);

/// Which interfaces stand for the numbers of a namespace, and what went wrong with them last.
#[derive(Debug, Default)]
pub struct Late {
    found: HashMap<u32, u32>,
    /// Those that could not be set up.
    failed: HashMap<u32, Failed>,
    failure: Option<String>,
    /// What was told of each since it was set up last: a name that comes and goes is told of once.
    told: HashMap<u32, HashSet<String>>,
}

/// In the place of an interface's number: what concerns no one interface.
const ALL: u32 = 0;

/// What went wrong, with the number of the interface.
type Wrongs = Vec<(u32, Failure)>;

/// An interface that could not be set up.
#[derive(Debug, Clone, Copy)]
struct Failed {
    index: u32,
    again: Instant,
    rest: Duration,
}

impl Failed {
    /// After one more failure with an interface.
    fn after(before: Option<&Failed>, index: u32) -> Failed {
        let same = before.filter(|it| it.index == index);
        let rest = same.map_or(LEAST_REST, |it| MOST_REST.min(it.rest * 2));
        Failed {
            index,
            again: Instant::now() + rest,
            rest,
        }
    }
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
        let wrongs = match look(lab, at) {
            Ok(wrongs) => wrongs,
            Err(failure) => vec![(ALL, failure)],
        };
        for (number, failure) in wrongs {
            let message = failure.message;
            let mut all = lab.late.borrow_mut();
            let late = all.entry(at).or_default();
            late.failure = Some(message.clone());
            let is_new = late.told.entry(number).or_default().insert(message.clone());
            drop(all);
            if is_new {
                lab.tell(What::Trouble {
                    node: lab.plan.namespaces[at].node.clone(),
                    message,
                });
            }
        }
        sleep(PAUSE).await;
        if let Ok(Ok(mut ready)) = timeout(until_next(lab, at), watch.readable()).await {
            // Cleared first: what comes while it is read makes it ready again.
            ready.clear_ready();
            watch.get_ref().read();
        }
    }
}

/// How long nothing is to be done unless something is announced.
fn until_next(lab: &Living, at: usize) -> Duration {
    let all = lab.late.borrow();
    let failed = all.get(&at).into_iter().flat_map(|late| late.failed.values());
    let rests = failed.map(|it| it.again.saturating_duration_since(Instant::now()));
    rests.min().map_or(REGULARLY, |rest| rest.min(REGULARLY))
}

/// Sets up what has appeared since, one after the other: what cannot be set up hinders no other.
fn look(lab: &Living, at: usize) -> Result<Wrongs, Failure> {
    let step: &NamespaceStep = &lab.plan.namespaces[at];
    let namespaces = lab.namespaces.borrow();
    let Some(namespace) = namespaces.get(at) else {
        return Ok(Vec::new());
    };
    let mut netlink = namespace.netlink()?;
    let mut all = lab.late.borrow_mut();
    let late = all.entry(at).or_default();
    let mut now: HashMap<u32, u32> = HashMap::new();
    for interface in &step.late.interfaces {
        if let Some(found) = link::named(&mut netlink, &interface.name)? {
            now.insert(interface.stand_in, found.index);
        }
    }
    late.found.retain(|number, index| now.get(number) == Some(index));
    late.failed
        .retain(|number, it| now.get(number) == Some(&it.index));
    let mut fresh = Vec::new();
    let mut wrongs = Vec::new();
    for interface in &step.late.interfaces {
        let number = interface.stand_in;
        let Some(&index) = now.get(&number) else { continue };
        let rests = late
            .failed
            .get(&number)
            .is_some_and(|it| it.again > Instant::now());
        if late.found.contains_key(&number) || rests {
            continue;
        }
        late.found.insert(number, index);
        let find = |index: u32| find(step, &late.found, index);
        match set_up_late(step, interface, index, &mut netlink, namespace, &find) {
            Ok(unfit) => {
                fresh.push((number, index));
                wrongs.extend(unfit);
            }
            Err(failure) => wrongs.push((number, failure)),
        }
    }
    if !fresh.is_empty() {
        let refused = add_late_routes(step, &mut netlink, &|index| find(step, &late.found, index));
        match refused.is_empty() {
            true => _ = late.told.remove(&ALL),
            false => fresh
                .iter()
                .for_each(|(number, index)| late.fail(*number, *index)),
        }
        wrongs.extend(refused.into_iter().map(|failure| (ALL, failure)));
    }
    for (number, _) in &wrongs {
        // Those that do not come late are tried again when what they are to be in is another.
        if let Some(index) = now.get(number) {
            late.fail(*number, *index);
        }
    }
    for (number, _) in fresh {
        if late.found.contains_key(&number) {
            late.failed.remove(&number);
            late.told.remove(&number);
        }
    }
    if late.failed.is_empty() && wrongs.is_empty() {
        late.failure = None;
    }
    Ok(wrongs)
}

/// Which interface a number stands for: its own, unless it is one that comes late.
fn find(step: &NamespaceStep, found: &HashMap<u32, u32>, index: u32) -> Option<u32> {
    match step.late.interfaces.iter().any(|it| it.stand_in == index) {
        true => found.get(&index).copied(),
        false => Some(index),
    }
}

impl Late {
    fn fail(&mut self, number: u32, index: u32) {
        self.found.remove(&number);
        let failed = Failed::after(self.failed.get(&number), index);
        self.failed.insert(number, failed);
    }
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

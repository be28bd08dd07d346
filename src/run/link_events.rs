//! What becomes of the interfaces of a lab that is ready, as events.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;

use super::events::What;
use super::interfaces::{peers, state};
use super::links;
use super::protocol::LinkState;
use super::state::Living;
use crate::kernel::Result;
use crate::kernel::link::{self, Interface};
use crate::kernel::link_watch::{Change, LinkWatch};
use crate::kernel::namespace::Namespace;

/// In labs with more network namespaces nothing is told of interfaces: each takes a descriptor.
const MOST: usize = 256;
/// How many descriptors the supervisor may have for each that is spent here.
const SPARE: u64 = 8;
/// How often interfaces of a node are looked at, at most: one that comes and goes all the time must not fill the events.
const PAUSE: Duration = Duration::from_millis(100);

/// What is known of a namespace's interfaces, by index.
type Known = BTreeMap<u32, (String, LinkState)>;

/// Tells from now on what becomes of interfaces.
pub fn follow(lab: &Rc<Living>) {
    let namespaces = lab.namespaces.borrow();
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    if namespaces.len() > MOST || (namespaces.len() as u64) * SPARE > limit {
        return;
    }
    let peers = Rc::new(peers(&lab.plan));
    for (at, namespace) in namespaces.iter().enumerate() {
        // What a kubelet makes and replaces is its own affair.
        if lab
            .plan
            .namespaces
            .get(at)
            .is_none_or(|step| step.sandbox.is_some())
        {
            continue;
        }
        // Without it a lab lives as well.
        let Ok((watch, known)) = begin(namespace) else {
            continue;
        };
        let (lab, peers) = (Rc::clone(lab), Rc::clone(&peers));
        spawn_local(async move {
            let peer = |index: u32| peers.get(&(at, index)).map(|(_, name)| name.clone());
            tell(&lab, at, &watch, known, &peer).await;
        });
    }
}

fn begin(namespace: &Namespace) -> Result<(AsyncFd<LinkWatch>, Known)> {
    // In this order: what changes in between is told, and is then known.
    let watch = namespace.run(LinkWatch::open)?.register()?;
    let found = link::list(&mut namespace.netlink()?)?;
    let known = found
        .into_iter()
        .map(|it| (it.index, (it.name.clone(), state(&it))));
    Ok((watch, known.collect()))
}

async fn tell(
    lab: &Living,
    at: usize,
    watch: &AsyncFd<LinkWatch>,
    mut known: Known,
    peer: &dyn Fn(u32) -> Option<String>,
) {
    let node = lab.plan.namespaces[at].node.clone();
    let mut has_more = false;
    loop {
        if !has_more {
            let Ok(mut ready) = watch.readable().await else {
                return;
            };
            // Cleared first: what comes while it is read makes it ready again.
            ready.clear_ready();
        }
        let heard = watch.get_ref().read();
        has_more = heard.has_more;
        let mut now: BTreeMap<u32, Change> = BTreeMap::new();
        for change in heard.changes {
            let (Change::Is(interface) | Change::Gone(interface)) = &change;
            if interface.name.starts_with(links::TAP) {
                continue;
            }
            now.insert(interface.index, change);
        }
        if *lab.stopping.borrow() {
            return;
        }
        // What was lost may be the last word on any of them.
        if heard.is_partial
            && let Some(found) = look(lab, at)
        {
            now = found_out(&known, found);
        }
        for (index, change) in now {
            if let Some((interface, state)) = differs(&mut known, change) {
                lab.tell(What::Interface {
                    node: node.clone(),
                    interface,
                    state,
                    peer: peer(index),
                });
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The interfaces of a namespace as they are; none where that cannot be found out.
fn look(lab: &Living, at: usize) -> Option<Vec<Interface>> {
    let namespaces = lab.namespaces.borrow();
    link::list(&mut namespaces.get(at)?.netlink().ok()?).ok()
}

/// What has become of the interfaces that are known, and of others, where nothing but how they are now was heard.
fn found_out(known: &Known, found: Vec<Interface>) -> BTreeMap<u32, Change> {
    let gone = known.iter().map(|(index, (name, _))| {
        let interface = Interface {
            index: *index,
            name: name.clone(),
            ..Interface::default()
        };
        (*index, Change::Gone(interface))
    });
    let found = found.into_iter().map(|it| (it.index, Change::Is(it)));
    // Those that are there take the place of their own end.
    gone.chain(found).collect()
}

/// What is to be told of an interface, if anything is: its name and its state in a word.
fn differs(known: &mut Known, change: Change) -> Option<(String, String)> {
    let word = |interface: &Interface| state(interface).word().to_owned();
    match change {
        Change::Gone(interface) => {
            let (name, _) = known.remove(&interface.index)?;
            Some((name, "deleted".to_owned()))
        }
        Change::Is(interface) => {
            let now = (interface.name.clone(), state(&interface));
            let before = known.insert(interface.index, now.clone());
            (before != Some(now)).then(|| (interface.name.clone(), word(&interface)))
        }
    }
}

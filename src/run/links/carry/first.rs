//! What the lab file says of links, carried out when the lab comes up: each network is entered once, and all that is asked of the
//! kernel there is asked together. One link after the other would take many times as long.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tokio::task::yield_now;

use super::attach::{Programs, explain};
use super::{Carried, IMPAIR, Queue, prepare};
use crate::failure::Failure;
use crate::impair::way::Parts;
use crate::kernel::error::Error;
use crate::kernel::namespace::{self, Namespace};
use crate::kernel::netlink::Netlink;
use crate::kernel::offload;
use crate::kernel::tc::{Action, Hook, Instruction, Requests};
use crate::lab::impair::Impairment;
use crate::run::links::delayer::{self, Delayer, Lead};
use crate::run::links::ends::Ends;
use crate::run::links::{about, planned};
use crate::run::state::Living;

/// How many networks are set up between two looks at signals and requests.
const CHUNK: usize = 64;

/// One direction of a link, as it is to be.
struct Direction {
    at: usize,
    direction: usize,
    way: &'static str,
    parts: Parts,
    asked: Impairment,
}

/// What is to be done in one network.
#[derive(Default)]
struct Work {
    /// Interfaces that send no packets longer than their MTU.
    whole: Vec<String>,
    requests: Vec<Requests>,
    /// The interfaces whose packets go through queues of nslab's: their indices, the queues' numbers, what is done, and to which.
    queues: Vec<(u32, u64, Impairment, Vec<Instruction>)>,
    /// What is at each interface then.
    programs: BTreeMap<u32, BTreeSet<(Hook, u16)>>,
    /// The interfaces: their indices, their names, and their links.
    ports: Vec<(u32, String, usize)>,
}

/// What came of it.
type Done = Result<Vec<(u64, Impairment, Lead)>, Wrong>;

/// What the kernel refused, and whether that was an interface to a queue.
struct Wrong {
    error: Error,
    is_queue: bool,
}

/// Carries out what the lab file says of these links. Nobody but nslab has been in their networks so far.
///
/// # Errors
/// What cannot be, or what the kernel refused.
pub async fn carry_all(lab: &Rc<Living>, links: &[(usize, Ends)]) -> Result<(), Failure> {
    let mut directions = Vec::new();
    let mut works: BTreeMap<usize, Work> = BTreeMap::new();
    for (at, ends) in links {
        let planned = planned(lab, *at).impair;
        let both = [planned.a_to_b, planned.b_to_a].into_iter().enumerate();
        for (direction, asked) in both.filter_map(|(direction, asked)| Some((direction, asked?))) {
            let prepared = prepare(lab, ends, direction, &asked);
            let (way, parts) = prepared.map_err(|failure| about(ends, failure))?;
            let direction = Direction {
                at: *at,
                direction,
                way,
                parts,
                asked,
            };
            direction.add(ends, &mut works);
            directions.push(direction);
        }
    }
    // It gets ready while the kernel works.
    let has_queues = works.values().any(|work| !work.queues.is_empty());
    let delayer = has_queues.then(|| Delayer::of(lab)).transpose()?;
    let mut leads = BTreeMap::new();
    let mut works = works.into_iter().peekable();
    while works.peek().is_some() {
        let some: Vec<(usize, Work)> = works.by_ref().take(CHUNK).collect();
        let queues = do_some(lab, links, some)?;
        leads.extend(queues.iter().map(|(id, _, lead)| (*id, lead.index)));
        if let Some(delayer) = &delayer {
            delayer.add(queues).await?;
        }
        yield_now().await;
    }
    let mut states = lab.links.states.borrow_mut();
    for it in directions {
        let state = states.entry(it.at).or_default();
        state.asked = planned(lab, it.at);
        let id = it.id();
        state.carried[it.direction] = Some(Carried {
            way: it.way,
            parts: it.parts,
            asked: it.asked,
            queue: leads.get(&id).map(|index| (id, *index)),
        });
    }
    Ok(())
}

impl Direction {
    /// The number of its queue.
    fn id(&self) -> u64 {
        (self.at as u64) << 1 | self.direction as u64
    }

    /// Says in the networks of its ends what is to be done.
    fn add(&self, ends: &Ends, works: &mut BTreeMap<usize, Work>) {
        let (sender, receiver) = (&ends.ports[self.direction], &ends.ports[1 - self.direction]);
        for port in [sender, receiver].into_iter().flatten() {
            let work = works.entry(port.namespace).or_default();
            work.ports.push((port.index, port.name.clone(), self.at));
        }
        if let Some(port) = sender {
            let work = works.entry(port.namespace).or_default();
            if self.parts.by_packet {
                work.whole.push(port.name.clone());
            }
            match self.parts.queue {
                Some(Queue::Tbf(tbf)) => work.room().tbf(port.index, &tbf),
                Some(Queue::Netem(netem)) => work.room().netem(port.index, &netem),
                None => {}
            }
            if let Some((choose, asked)) = &self.parts.own {
                work.attached(port.index, Hook::Egress);
                work.queues
                    .push((port.index, self.id(), asked.clone(), choose.clone()));
            }
        }
        let loser = match receiver {
            Some(port) => Some((port, Hook::Ingress)),
            None => sender.as_ref().map(|port| (port, Hook::Egress)),
        };
        if let (Some((port, hook)), Some(program)) = (loser, &self.parts.loss) {
            let work = works.entry(port.namespace).or_default();
            work.attached(port.index, hook);
            work.room()
                .program(port.index, hook, IMPAIR, program, Action::Direct);
        }
    }
}

impl Work {
    /// A program will be at an interface, and room for it.
    fn attached(&mut self, index: u32, hook: Hook) {
        if !self.programs.contains_key(&index) {
            self.room().clsact(index);
        }
        self.programs.entry(index).or_default().insert((hook, IMPAIR));
    }

    /// Where more can be asked for.
    fn room(&mut self) -> &mut Requests {
        room(&mut self.requests)
    }

    /// Does it, in the calling thread's network.
    fn carry_out(self) -> Done {
        let plain = |error| Wrong {
            error,
            is_queue: false,
        };
        for name in &self.whole {
            offload::segmentation(name, false).map_err(plain)?;
        }
        let mut netlink = Netlink::open().map_err(plain)?;
        let (mut requests, mut raise, mut leads) = (self.requests, Vec::new(), Vec::new());
        for (index, id, asked, choose) in self.queues {
            let opened = Lead::open(index);
            let lead = opened.map_err(|error| Wrong {
                error,
                is_queue: true,
            })?;
            raise.extend(lead.raise());
            room(&mut requests).program(index, Hook::Egress, IMPAIR, &choose, Action::Redirect(lead.index));
            leads.push((id, asked, lead));
        }
        // What is led there finds an interface that is up.
        netlink.send(raise).map_err(|mut errors| {
            plain(match errors.is_empty() {
                true => Error::new("raise an interface", nix::errno::Errno::EIO),
                false => errors.remove(0),
            })
        })?;
        for requests in requests {
            requests.send(&mut netlink).map_err(plain)?;
        }
        Ok(leads)
    }
}

/// The last of some requests, or new ones where that has enough.
fn room(all: &mut Vec<Requests>) -> &mut Requests {
    if all.last().is_none_or(Requests::is_full) {
        all.push(Requests::default());
    }
    let last = all.len() - 1;
    &mut all[last]
}

/// Does the work in some networks, on a thread that enters each.
fn do_some(
    lab: &Living,
    links: &[(usize, Ends)],
    works: Vec<(usize, Work)>,
) -> Result<Vec<(u64, Impairment, Lead)>, Failure> {
    let mut ports = Vec::new();
    let mut programs = Vec::new();
    let namespaces = lab.namespaces.borrow();
    let mut jobs: Vec<(&Namespace, Work)> = Vec::with_capacity(works.len());
    for (at, mut work) in works {
        let namespace = namespaces.get(at);
        let namespace = namespace.ok_or_else(|| Failure::not_ready("its network is not there"))?;
        programs.extend(
            std::mem::take(&mut work.programs)
                .into_iter()
                .map(|(index, own)| ((at, index), Programs { own, made: true })),
        );
        ports.push(work.ports.clone());
        jobs.push((namespace, work));
    }
    let results = namespace::in_each(jobs, Work::carry_out)?;
    lab.links.programs.borrow_mut().extend(programs);
    let mut leads = Vec::new();
    for (result, ports) in results.into_iter().zip(&ports) {
        leads.extend(result.map_err(|wrong| wrong.told(ports, links))?);
    }
    Ok(leads)
}

impl Wrong {
    /// The failure, with the link that it is about.
    fn told(self, ports: &[(u32, String, usize)], links: &[(usize, Ends)]) -> Failure {
        let Wrong { mut error, is_queue } = self;
        let is_meant = |what: &str, index: u32| {
            let rest = what.split(&format!("interface {index}")).nth(1);
            rest.is_some_and(|rest| !rest.starts_with(|it: char| it.is_ascii_digit()))
        };
        let found = ports
            .iter()
            .find(|(index, name, _)| is_meant(&error.what, *index) || error.what.ends_with(name.as_str()));
        let Some((index, name, at)) = found.or(ports.first()) else {
            return error.into();
        };
        error.what = error.what.replace(&format!("interface {index}"), name);
        let failure = match is_queue {
            true => delayer::explain(error),
            false => explain(error, name),
        };
        match links.iter().find(|(link, _)| link == at) {
            Some((_, ends)) => about(ends, failure),
            None => failure,
        }
    }
}

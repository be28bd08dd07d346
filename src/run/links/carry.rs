//! Makes of a link what is asked of it: carrier, silence, and the parts of impairments, changed without losing a packet that the
//! change does not ask for. What is new is there before what was there goes.

mod attach;
mod first;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;
use std::time::Duration;

use netlink_packet_route::link::InfoKind;
use tokio::time::{Instant, sleep};

use super::delayer::{self, Delayer};
use super::ends::{Ends, in_namespace};
use super::trial;
use super::{LinkAsked, State};
use crate::apply;
use crate::failure::Failure;
use crate::impair::program;
use crate::impair::way::{ByNetem, ByNslab, Parts, Place, Queue, Way};
use crate::kernel::netlink::Netlink;
use crate::kernel::tc::{self, Action, Hook, Netem, Requests, SHOT, STOLEN, Tbf};
use crate::kernel::{link, offload};
use crate::lab::impair::Impairment;
use crate::lab::plan::PortStep;
use crate::run::state::Living;

pub use attach::Programs;
pub use first::carry_all;

/// The places of nslab's programs among others.
const SILENCE: u16 = 1;
const IMPAIR: u16 = 2;
/// How often it is looked whether a queue has emptied.
const LOOK: Duration = Duration::from_millis(2);
/// How long one may take beyond what its packets are delayed.
const PATIENCE: Duration = Duration::from_millis(500);
/// So fast that nothing waits, in bytes a second.
const OPEN: u64 = 12_500_000_000;

/// One direction of a link as it is carried out.
pub struct Carried {
    /// By which way.
    pub way: &'static str,
    parts: Parts,
    asked: Impairment,
    /// Nslab's own queue: its number, and the interface that leads to it.
    pub queue: Option<(u64, u32)>,
}

/// Sockets in namespaces, for as long as something is done.
#[derive(Default)]
pub struct Sockets {
    all: BTreeMap<usize, Netlink>,
}

impl Sockets {
    /// One in a namespace of the lab's.
    pub fn of(&mut self, lab: &Living, at: usize) -> Result<&mut Netlink, Failure> {
        match self.all.entry(at) {
            Entry::Occupied(there) => Ok(there.into_mut()),
            Entry::Vacant(room) => {
                let made = in_namespace(&lab.namespaces.borrow(), at, |it| Ok(it.netlink()?))?;
                Ok(room.insert(made))
            }
        }
    }
}

/// One change to a link.
struct Change<'a> {
    lab: &'a Rc<Living>,
    at: usize,
    ends: &'a Ends,
    sockets: &'a mut Sockets,
}

/// Makes of a link what is asked.
///
/// # Errors
/// What cannot be; the rest stays as it was or is done.
pub async fn settle(
    lab: &Rc<Living>,
    at: usize,
    ends: &Ends,
    asked: &LinkAsked,
    sockets: &mut Sockets,
) -> Result<(), Failure> {
    let mut change = Change {
        lab,
        at,
        ends,
        sockets,
    };
    let both = [&asked.impair.a_to_b, &asked.impair.b_to_a];
    for (direction, wanted) in both.into_iter().enumerate() {
        change.carry(direction, wanted.as_ref()).await?;
    }
    let quiet = asked.silent || asked.down;
    // Whoever loses its carrier has nothing more to send; whoever gets it back is heard.
    if quiet {
        change.silence(true)?;
    }
    change.carrier(asked.down)?;
    if !quiet {
        change.silence(false)?;
    }
    change.note(|state| state.asked = asked.clone());
    Ok(())
}

/// Makes again what went with the process that delays packets.
///
/// # Errors
/// What cannot be.
pub async fn again(lab: &Rc<Living>, at: usize, ends: &Ends, asked: &LinkAsked) -> Result<(), Failure> {
    {
        let mut states = lab.links.states.borrow_mut();
        let carried = states.entry(at).or_default().carried.iter_mut().flatten();
        // What is there differs from all that can be asked.
        carried
            .filter(|it| it.parts.own.is_some() && it.queue.is_none())
            .for_each(|it| it.asked = Impairment::default());
    }
    settle(lab, at, ends, asked, &mut Sockets::default()).await
}

/// The parts that an impairment becomes at a link, and the way by which.
fn prepare(
    lab: &Living,
    ends: &Ends,
    direction: usize,
    wanted: &Impairment,
) -> Result<(&'static str, Parts), Failure> {
    let (sender, receiver) = (&ends.ports[direction], &ends.ports[1 - direction]);
    if sender.is_none()
        && let Some(key) = wanted.beyond_loss()
    {
        let message =
            format!("what arrives from outside of the lab can only be lost: `{key}` is of what is sent");
        return Err(Failure::wrong(message).help("say it of what the node sends: `--out`, or `a_to_b`"));
    }
    let place = Place {
        mtu: ends.mtu,
        at_receiver: receiver.is_some(),
        has_frames: ends.has_frames,
    };
    let by_netem = sender.is_some()
        && match lab.links.forced.as_deref() {
            Some("netem") => true,
            Some("own") => false,
            _ => {
                let is_able = wanted.seed.is_none() || trial::netem_takes_seeds();
                wanted.only.is_none() && is_able && has_netem(lab)
            }
        };
    if by_netem && wanted.seed.is_some() && !trial::netem_takes_seeds() {
        let message = "the netem of this kernel cannot do `seed`: that takes Linux 6.6";
        return Err(Failure::wrong(message).help("leave NSLAB_IMPAIR away, or set it to own"));
    }
    let way: &dyn Way = if by_netem { &ByNetem } else { &ByNslab };
    let parts = way.parts(wanted, place);
    let parts = parts.map_err(|(message, help)| Failure::wrong(message).help(help))?;
    Ok((way.name(), parts))
}

fn has_netem(lab: &Living) -> bool {
    let known = &lab.links.has_netem;
    known.get().unwrap_or_else(|| {
        let found = trial::netem().is_ok();
        known.set(Some(found));
        found
    })
}

impl Change<'_> {
    fn note<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut states = self.lab.links.states.borrow_mut();
        work(states.entry(self.at).or_default())
    }

    /// Packets of one direction are treated like this.
    async fn carry(&mut self, direction: usize, wanted: Option<&Impairment>) -> Result<(), Failure> {
        let before = self.note(|state| state.carried[direction].take());
        if before.as_ref().map(|it| &it.asked) == wanted {
            self.note(|state| state.carried[direction] = before);
            return Ok(());
        }
        let prepared = wanted
            .map(|it| prepare(self.lab, self.ends, direction, it))
            .transpose();
        let (way, parts) = match prepared {
            Ok(Some((way, parts))) => (way, parts),
            Ok(None) => ("", Parts::default()),
            Err(failure) => {
                self.note(|state| state.carried[direction] = before);
                return Err(failure);
            }
        };
        let (old, mut queue) = match before {
            Some(it) => (it.parts, it.queue),
            None => (Parts::default(), None),
        };
        let done = self.replace(direction, &old, &parts, &mut queue).await;
        let asked = wanted.cloned().unwrap_or_default();
        // Also what was done in part has to be taken away again.
        let carried = match done {
            Ok(()) if wanted.is_none() => None,
            Ok(()) => Some(Carried {
                way,
                parts,
                asked,
                queue,
            }),
            Err(_) => Some(Carried {
                way,
                parts: Parts {
                    queue: parts.queue.or(old.queue),
                    loss: parts.loss.or(old.loss),
                    own: parts.own.or(old.own),
                    by_packet: parts.by_packet || old.by_packet,
                },
                asked: Impairment::default(),
                queue,
            }),
        };
        self.note(|state| state.carried[direction] = carried);
        done
    }

    /// Puts new parts into the place of old ones.
    async fn replace(
        &mut self,
        direction: usize,
        old: &Parts,
        new: &Parts,
        queue: &mut Option<(u64, u32)>,
    ) -> Result<(), Failure> {
        let sender = self.ends.ports[direction].clone();
        let receiver = self.ends.ports[1 - direction].clone();
        let loser = match &receiver {
            Some(port) => Some((port, Hook::Ingress)),
            None => sender.as_ref().map(|port| (port, Hook::Egress)),
        };
        if let Some(port) = &sender
            && new.by_packet
            && !old.by_packet
        {
            self.segmentation(port, false)?;
        }
        if let (Some(port), Some(wanted)) = (&sender, new.queue)
            && old.queue != new.queue
        {
            self.queue(port, wanted)?;
        }
        if let (Some((port, hook)), Some(program)) = (loser, &new.loss)
            && old.loss != new.loss
        {
            self.attach(port, hook, IMPAIR, program, Action::Direct)?;
        }
        if let Some(port) = &sender {
            self.own(port, direction, old, new, queue).await?;
        }
        if let Some((port, hook)) = loser
            && old.loss.is_some()
            && new.loss.is_none()
            // Nslab's own queue has taken its place where both are at one interface.
            && !(hook == Hook::Egress && new.own.is_some())
        {
            self.detach(port, hook, IMPAIR)?;
        }
        if let (Some(port), Some(gone), None) = (&sender, old.queue, new.queue) {
            self.drain(port, gone).await?;
        }
        if let Some(port) = &sender
            && old.by_packet
            && !new.by_packet
        {
            self.segmentation(port, true)?;
        }
        Ok(())
    }

    /// Whether packets that are longer than the MTU leave an interface.
    fn segmentation(&self, port: &PortStep, on: bool) -> Result<(), Failure> {
        let namespaces = self.lab.namespaces.borrow();
        in_namespace(&namespaces, port.namespace, |it| {
            let done = it.run(|| offload::segmentation(&port.name, on));
            done.map_err(|error| attach::explain(error, &port.name))
        })
    }

    /// Sets the queueing discipline of an interface.
    fn queue(&mut self, port: &PortStep, wanted: Queue) -> Result<(), Failure> {
        let mut requests = Requests::default();
        match wanted {
            Queue::Tbf(tbf) => requests.tbf(port.index, &tbf),
            Queue::Netem(netem) => requests.netem(port.index, &netem),
        }
        self.send(port, requests)
    }

    /// Takes a queueing discipline away once nothing waits in it any more.
    async fn drain(&mut self, port: &PortStep, gone: Queue) -> Result<(), Failure> {
        let (open, longest) = match gone {
            Queue::Tbf(tbf) => (
                Queue::Tbf(Tbf {
                    rate: OPEN,
                    burst: tbf.burst.max(1 << 20),
                    ..tbf
                }),
                0,
            ),
            Queue::Netem(netem) => (
                Queue::Netem(Netem {
                    limit: u32::MAX >> 1,
                    ..Netem::default()
                }),
                netem.delay + netem.jitter,
            ),
        };
        self.queue(port, open)?;
        let until = Instant::now() + Duration::from_nanos(longest) + PATIENCE;
        while Instant::now() < until {
            let queues = tc::queues(self.sockets.of(self.lab, port.namespace)?)?;
            let mut own = queues
                .iter()
                .filter(|it| it.interface == port.index && it.handle == tc::OWN);
            if own.all(|it| it.waiting == 0) {
                break;
            }
            sleep(LOOK).await;
        }
        let mut requests = Requests::default();
        requests.remove_queue(port.index);
        self.send(port, requests)
    }

    /// Waits until what was led to nslab's own queue has reached it.
    async fn led(&mut self, port: &PortStep, tap: u32) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            sleep(LOOK).await;
            let queues = tc::queues(self.sockets.of(self.lab, port.namespace)?)?;
            let is_empty = queues.iter().all(|it| it.interface != tap || it.waiting == 0);
            if is_empty || Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// Begins, changes or ends nslab's own queue for what an interface sends.
    async fn own(
        &mut self,
        port: &PortStep,
        direction: usize,
        old: &Parts,
        new: &Parts,
        queue: &mut Option<(u64, u32)>,
    ) -> Result<(), Failure> {
        match (&new.own, *queue) {
            (Some((choose, asked)), None) => {
                let delayer = Delayer::of(self.lab)?;
                let id = (self.at as u64) << 1 | direction as u64;
                let tap = delayer::lead(self.lab, port, id, asked, &delayer).await?;
                *queue = Some((id, tap));
                self.attach(port, Hook::Egress, IMPAIR, choose, Action::Redirect(tap))?;
            }
            (Some((choose, asked)), Some((id, tap))) => {
                if old.own.as_ref().map(|(_, asked)| asked) != Some(asked) {
                    Delayer::of(self.lab)?.change(id, asked).await?;
                }
                if old.own.as_ref().map(|(choose, _)| choose) != Some(choose) {
                    self.attach(port, Hook::Egress, IMPAIR, choose, Action::Redirect(tap))?;
                }
            }
            (None, Some((id, tap))) => {
                // In its place may be the program that loses packets.
                if !(new.loss.is_some() && self.ends.ports[1 - direction].is_none()) {
                    self.detach(port, Hook::Egress, IMPAIR)?;
                }
                self.led(port, tap).await?;
                Delayer::of(self.lab)?.remove(id).await?;
                *queue = None;
            }
            // The process has ended meanwhile, and its end with it.
            (None, None) if old.own.is_some() => {
                self.detach(port, Hook::Egress, IMPAIR)?;
                delayer::forget(self.sockets.of(self.lab, port.namespace)?, port.index)?;
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Everything is lost at both ends, or what is said elsewhere.
    fn silence(&mut self, on: bool) -> Result<(), Failure> {
        if self.note(|state| std::mem::replace(&mut state.silenced, on)) == on {
            return Ok(());
        }
        for port in self.ends.ports.clone().iter().flatten() {
            for (hook, verdict) in [(Hook::Egress, STOLEN), (Hook::Ingress, SHOT)] {
                match on {
                    true => self.attach(port, hook, SILENCE, &program::always(verdict), Action::Direct)?,
                    false => self.detach(port, hook, SILENCE)?,
                }
            }
        }
        Ok(())
    }

    /// Both ends lose their carrier or have it again.
    fn carrier(&mut self, down: bool) -> Result<(), Failure> {
        if self.note(|state| std::mem::replace(&mut state.down, down)) == down {
            return Ok(());
        }
        if down {
            self.lower_for_bonds()?;
        }
        for (place, port) in self.ends.ports.clone().iter().enumerate() {
            let Some(port) = port else { continue };
            let what = format!("change the carrier of {}", port.name);
            let requests = link::dormant(&what, port.index, down);
            let sent = self.sockets.of(self.lab, port.namespace)?.send(requests);
            sent.map_err(apply::refused)?;
            if !down && self.note(|state| std::mem::take(&mut state.lowered[place])) {
                let step = self.lab.plan.namespaces.get(port.namespace);
                let netlink = self.sockets.of(self.lab, port.namespace)?;
                netlink.send_one(link::up(&what, port.index))?;
                step.map_or(Ok(()), |step| apply::raise_again(step, netlink))?;
            }
        }
        if let Some(name) = &self.ends.on_host {
            let mut host = Netlink::open()?;
            let index = apply::index_of(&mut host, name)?;
            host.send(link::dormant(
                &format!("change the carrier of {name}"),
                index,
                down,
            ))
            .map_err(apply::refused)?;
        }
        Ok(())
    }

    /// A bond looks at nothing but the carrier that the driver tells: the other end of its port goes down as a whole.
    fn lower_for_bonds(&mut self) -> Result<(), Failure> {
        for place in [0, 1] {
            let (Some(port), Some(other)) =
                (self.ends.ports[place].clone(), self.ends.ports[1 - place].clone())
            else {
                continue;
            };
            let netlink = self.sockets.of(self.lab, port.namespace)?;
            let links = link::list(netlink)?;
            let own = links.iter().find(|it| it.index == port.index);
            let master = own.and_then(|own| links.iter().find(|it| Some(it.index) == own.master));
            if master.is_some_and(|it| it.kind == Some(InfoKind::Bond)) {
                let what = format!("take {} down", other.name);
                let netlink = self.sockets.of(self.lab, other.namespace)?;
                netlink.send_one(link::down(&what, other.index))?;
                self.note(|state| state.lowered[1 - place] = true);
            }
        }
        Ok(())
    }
}

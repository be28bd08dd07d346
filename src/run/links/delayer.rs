//! The supervisor's side of the process that keeps packets for a while.

use std::cell::Cell;
use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sched::CloneFlags;
use tokio::sync::Mutex;

use super::ends::{TAP, in_namespace};
use crate::failure::Failure;
use crate::impair::packets::Counts;
use crate::impair::process::VERB;
use crate::impair::protocol::{Answer, LONGEST, MOST_ADDED, Order};
use crate::kernel::error::{Attempt as _, Error};
use crate::kernel::message::Assembler;
use crate::kernel::netlink::{Netlink, Request};
use crate::kernel::spawn::{self, Spawn};
use crate::kernel::{self, link, packet_sender, tun};
use crate::lab::impair::Impairment;
use crate::lab::plan::PortStep;
use crate::run::events::What;
use crate::run::socket;
use crate::run::state::Living;

/// Nothing but what is led there leaves by such an interface: with this MTU the kernel gives it no IPv6 (RFC 8200). Packets that are
/// led there may be longer.
const SMALLEST_MTU: u32 = 68;
/// Packets that may wait until the process takes them.
const QUEUE: u32 = 10_000;

/// A process that keeps packets for a while.
pub struct Delayer {
    stream: tokio::net::UnixStream,
    answers: Mutex<Assembler>,
    gone: Rc<Cell<bool>>,
}

impl Delayer {
    /// The lab's, started if there is none.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn of(lab: &Rc<Living>) -> Result<Rc<Delayer>, Failure> {
        let living = lab.links.delayer.borrow().clone().filter(|it| !it.gone.get());
        if let Some(delayer) = living {
            return Ok(delayer);
        }
        let (ours, theirs) = UnixStream::pair().attempt(|| "make a socket pair")?;
        let arguments: Vec<CString> = ["nslab: links", VERB]
            .map(str::to_owned)
            .into_iter()
            .chain(spawn::slots(1))
            .filter_map(|word| CString::new(word).ok())
            .collect();
        let child = spawn::spawn(
            "start the process that delays packets",
            &Spawn {
                flags: CloneFlags::empty(),
                program: c"/proc/self/exe",
                arguments: &arguments,
                environment: &[],
                keep: &[theirs.as_fd()],
                stdio: None,
                parent_death: Some(libc::SIGKILL),
                session: true,
            },
        )?;
        let end = lab.reaper.end_of(child.pid);
        let delayer = Rc::new(Delayer {
            stream: socket::adopt(ours)?,
            answers: Mutex::new(Assembler::of(LONGEST, 0)),
            gone: Rc::default(),
        });
        lab.links.delayer.replace(Some(Rc::clone(&delayer)));
        let (lab, gone) = (Rc::clone(lab), Rc::clone(&delayer.gone));
        tokio::task::spawn_local(async move {
            let _ = end.await;
            gone.set(true);
            if !*lab.stopping.borrow() {
                super::restored(&lab).await;
            }
        });
        Ok(delayer)
    }

    async fn order(&self, order: &Order, fds: &[OwnedFd]) -> Result<Answer, Failure> {
        let gone = || Failure::host("the process that delays packets has ended");
        let bytes = serde_json::to_vec(order).map_err(|error| Failure::host(error.to_string()))?;
        let mut assembler = self.answers.lock().await;
        socket::send(&self.stream, &bytes, fds)
            .await
            .map_err(|_| gone())?;
        loop {
            if let Some(frame) = assembler.frame()? {
                let answer = serde_json::from_slice(&frame.bytes);
                return match answer.map_err(|error| Failure::host(error.to_string()))? {
                    Answer::Failed(message) => Err(Failure::host(message)),
                    answer => Ok(answer),
                };
            }
            if !socket::receive(&self.stream, &mut assembler).await? {
                return Err(gone());
            }
        }
    }

    /// Begins queues: their numbers, what is done to their packets, and where these come from.
    ///
    /// # Errors
    /// The process has ended, or no more can be.
    pub async fn add(&self, queues: Vec<(u64, Impairment, Lead)>) -> Result<(), Failure> {
        let mut queues = queues.into_iter().peekable();
        while queues.peek().is_some() {
            let (mut all, mut fds) = (Vec::new(), Vec::new());
            for (id, asked, lead) in queues.by_ref().take(MOST_ADDED) {
                all.push((id, asked));
                fds.extend([lead.tap, lead.out]);
            }
            self.order(&Order::Add { all }, &fds).await?;
        }
        Ok(())
    }

    /// Treats packets of a queue like this from now on.
    ///
    /// # Errors
    /// The process has ended.
    pub async fn change(&self, id: u64, asked: &Impairment) -> Result<(), Failure> {
        let asked = asked.clone();
        self.order(&Order::Change { id, asked }, &[]).await.map(drop)
    }

    /// Ends a queue; what is in it goes on at once.
    ///
    /// # Errors
    /// The process has ended.
    pub async fn remove(&self, id: u64) -> Result<(), Failure> {
        self.order(&Order::Remove { id }, &[]).await.map(drop)
    }

    /// What has become of packets, by queue.
    ///
    /// # Errors
    /// The process has ended.
    pub async fn counts(&self) -> Result<Vec<(u64, Counts)>, Failure> {
        match self.order(&Order::Count, &[]).await? {
            Answer::Counts(counts) => Ok(counts),
            _ => Ok(Vec::new()),
        }
    }
}

/// An interface beside another, that leads to a queue of the process, and the way out of the other.
pub struct Lead {
    tap: OwnedFd,
    out: OwnedFd,
    /// Its index.
    pub index: u32,
}

/// What an interface is called that leads past another.
fn name_beside(index: u32) -> String {
    format!("{TAP}{index:x}")
}

impl Lead {
    /// Makes one beside an interface in the calling thread's network namespace. It is not up yet.
    ///
    /// # Errors
    /// The kernel refuses, or has no such interfaces.
    pub fn open(beside: u32) -> kernel::Result<Lead> {
        let name = name_beside(beside);
        let tap = tun::passing(&name)?;
        let index = if_nametoindex(name.as_str()).attempt(|| format!("find {name}"))?;
        Ok(Lead {
            tap: tap.into(),
            out: packet_sender::open(beside)?,
            index,
        })
    }

    /// What the kernel is asked for to raise it.
    pub fn raise(&self) -> [Request; 2] {
        let what = format!("set up interface {}", self.index);
        [
            link::room(&what, self.index, SMALLEST_MTU, QUEUE),
            link::up(&what, self.index),
        ]
    }
}

/// What to do where no such interface can be made.
pub fn explain(error: Error) -> Failure {
    let errno = error.errno;
    let failure = Failure::from(error);
    match errno {
        Errno::ENOENT | Errno::EACCES | Errno::EPERM => failure.help(
            "delay, jitter, reorder, duplicate, corrupt and seed need /dev/net/tun where the kernel has no netem",
        ),
        _ => failure,
    }
}

/// Makes an interface beside another, that leads to a queue of the process, and from there out of the other. Returns its index.
///
/// # Errors
/// The kernel refuses, or the process does.
pub async fn lead(
    lab: &Rc<Living>,
    port: &PortStep,
    id: u64,
    asked: &Impairment,
    delayer: &Delayer,
) -> Result<u32, Failure> {
    let beside = port.index;
    let lead = in_namespace(&lab.namespaces.borrow(), port.namespace, |namespace| {
        let made = namespace.run(|| {
            let lead = Lead::open(beside)?;
            let sent = Netlink::open()?.send(lead.raise().into());
            sent.map_err(|mut errors| match errors.is_empty() {
                true => Error::new("set up an interface", Errno::EIO),
                false => errors.remove(0),
            })?;
            Ok(lead)
        });
        made.map_err(explain)
    })?;
    let index = lead.index;
    delayer.add(vec![(id, asked.clone(), lead)]).await?;
    Ok(index)
}

/// Takes away what led to a queue of a process that has ended.
///
/// # Errors
/// The kernel refuses.
pub fn forget(netlink: &mut Netlink, beside: u32) -> Result<(), Failure> {
    let name = name_beside(beside);
    let all = link::list(netlink)?;
    if let Some(left) = all.iter().find(|it| it.name == name) {
        netlink.send_one(link::delete(&format!("remove {name}"), left.index))?;
    }
    Ok(())
}

/// Says that the process has ended and was replaced, or why that did not work.
pub fn told(lab: &Living, outcome: Result<(), Failure>) {
    let message = match outcome {
        Ok(()) => "the process that delays packets has ended: packets on their way were lost, and another has taken its place"
            .to_owned(),
        Err(failure) => format!("the process that delays packets has ended, and links are not as asked: {failure}"),
    };
    lab.tell(What::Notice { message });
}

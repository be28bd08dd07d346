//! Traffic control: queueing disciplines, classifiers and their actions (tc(8), linux/pkt_sched.h, linux/pkt_cls.h), asked for
//! in batches.

mod queues;
mod read;

use nix::errno::Errno;

use super::error::{Error, Result};
use super::netlink::{BATCH, Netlink};
use super::netlink_batch::Batch;
pub use queues::{Netem, Tbf};
pub use read::{Queue, filters, queues};

pub(super) const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
pub(super) const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
pub(super) const RTM_GETTFILTER: u16 = 46;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NESTED: u16 = 0x8000;

pub(super) const TCA_KIND: u16 = 1;
pub(super) const TCA_OPTIONS: u16 = 2;
const TC_H_ROOT: u32 = 0xffff_ffff;
const TC_H_CLSACT: u32 = 0xffff_fff1;
const CLSACT: u32 = 0xffff_0000;
/// The handle of every queueing discipline that is nslab's.
pub const OWN: u32 = 0x6e73_0000;
const ETH_P_ALL: u16 = 3;

const TCA_BPF_ACT: u16 = 1;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TCA_EGRESS_REDIR: u32 = 1;
/// What a program of a direct action returns for a packet that is gone without a word to who sent it (TC_ACT_STOLEN).
pub const STOLEN: u32 = 4;
/// For one that is dropped (TC_ACT_SHOT).
pub const SHOT: u32 = 2;
/// For one that this program has no word on (TC_ACT_UNSPEC).
pub const UNSPEC: u32 = 0xffff_ffff;

/// An instruction of classic BPF (bpf(4), `struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to jump over where a condition is true.
    pub jt: u8,
    /// Where it is false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// On which way through an interface a program looks at packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// Those that leave by it.
    Egress,
    /// Those that arrive.
    Ingress,
}

impl Hook {
    fn parent(self) -> u32 {
        match self {
            Hook::Egress => 0xffff_fff3,
            Hook::Ingress => 0xffff_fff2,
        }
    }
}

/// What becomes of the packets that a program chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// What the program returns.
    Direct,
    /// They leave by another interface of the namespace.
    Redirect(u32),
}

/// Requests of traffic control for one network namespace, sent together.
#[derive(Default)]
pub struct Requests {
    batch: Batch,
    whats: Vec<String>,
    forgiven: Vec<Option<Errno>>,
}

impl Requests {
    fn begin(&mut self, what: String, kind: u16, flags: u16, place: Place, forgiven: Option<Errno>) {
        let mut header = [0u8; 20];
        header[4..8].copy_from_slice(&place.interface.to_ne_bytes());
        header[8..12].copy_from_slice(&place.handle.to_ne_bytes());
        header[12..16].copy_from_slice(&place.parent.to_ne_bytes());
        header[16..20].copy_from_slice(&place.info.to_ne_bytes());
        self.batch.begin(kind, flags, &header);
        self.whats.push(what);
        self.forgiven.push(forgiven);
    }

    /// Makes room for programs at an interface; where there is some already, it is used.
    pub fn clsact(&mut self, interface: u32) {
        let place = Place {
            interface,
            handle: CLSACT,
            parent: TC_H_CLSACT,
            info: 0,
        };
        let what = format!("attach programs to interface {interface}");
        self.begin(
            what,
            RTM_NEWQDISC,
            NLM_F_CREATE | NLM_F_EXCL,
            place,
            Some(Errno::EEXIST),
        );
        self.batch.attribute(TCA_KIND, &[b"clsact\0"]);
        self.batch.end();
    }

    /// Takes that away, with all programs.
    pub fn remove_clsact(&mut self, interface: u32) {
        let place = Place {
            interface,
            handle: CLSACT,
            parent: TC_H_CLSACT,
            info: 0,
        };
        let what = format!("detach programs from interface {interface}");
        self.begin(what, RTM_DELQDISC, 0, place, None);
        self.batch.end();
    }

    /// Attaches a program, or puts it into the place of the one that is there, between two packets. Programs with a smaller
    /// number see packets first.
    pub fn program(
        &mut self,
        interface: u32,
        hook: Hook,
        number: u16,
        program: &[Instruction],
        action: Action,
    ) {
        let what = format!("attach a program to interface {interface}");
        let place = Place::program(interface, hook, number, 1);
        self.begin(what, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, place, None);
        let batch = &mut self.batch;
        batch.attribute(TCA_KIND, &[b"bpf\0"]);
        let options = nest(batch, TCA_OPTIONS);
        let mut octets = Vec::with_capacity(program.len() * 8);
        for it in program {
            octets.extend(it.code.to_ne_bytes());
            octets.extend([it.jt, it.jf]);
            octets.extend(it.k.to_ne_bytes());
        }
        // The callers' programs are shorter than the kernel's limit of 4,096.
        batch.attribute(TCA_BPF_OPS_LEN, &[&(program.len() as u16).to_ne_bytes()]);
        batch.attribute(TCA_BPF_OPS, &[&octets]);
        match action {
            Action::Direct => {
                batch.attribute(TCA_BPF_FLAGS, &[&TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes()]);
            }
            Action::Redirect(to) => {
                let actions = nest(batch, TCA_BPF_ACT);
                let first = nest(batch, 1);
                batch.attribute(TCA_ACT_KIND, &[b"mirred\0"]);
                let own = nest(batch, TCA_ACT_OPTIONS);
                let words = [0, 0, STOLEN, 0, 0, TCA_EGRESS_REDIR, to];
                batch.attribute(TCA_MIRRED_PARMS, &[&words.map(u32::to_ne_bytes).concat()]);
                batch.close(own);
                batch.close(first);
                batch.close(actions);
            }
        }
        batch.close(options);
        batch.end();
    }

    /// Takes a program away, if it is there.
    pub fn remove_program(&mut self, interface: u32, hook: Hook, number: u16) {
        let what = format!("detach a program from interface {interface}");
        let place = Place::program(interface, hook, number, 0);
        self.begin(what, RTM_DELTFILTER, 0, place, Some(Errno::ENOENT));
        self.batch.end();
    }

    /// Gives an interface a queueing discipline, or changes the one that is there.
    fn queue(&mut self, interface: u32, kind: &str, write: impl FnOnce(&mut Batch)) {
        let what = format!("set the queueing discipline {kind} of interface {interface}");
        let place = Place::root(interface);
        self.begin(what, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, place, None);
        self.batch.attribute(TCA_KIND, &[kind.as_bytes(), b"\0"]);
        write(&mut self.batch);
        self.batch.end();
    }

    /// Takes an interface's own queueing discipline away, and the packets that wait in it.
    pub fn remove_queue(&mut self, interface: u32) {
        let what = format!("remove the queueing discipline of interface {interface}");
        self.begin(what, RTM_DELQDISC, 0, Place::root(interface), Some(Errno::ENOENT));
        self.batch.end();
    }

    /// Whether they should be sent before others are added: the kernel takes no more at once than a socket's buffer holds.
    pub fn is_full(&self) -> bool {
        self.batch.bytes.len() > BATCH
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.whats.is_empty()
    }

    /// Sends them all.
    ///
    /// # Errors
    /// What the kernel refused first. What came before stays.
    pub fn send(mut self, netlink: &mut Netlink) -> Result<()> {
        let mut first = None;
        let (whats, forgiven) = (self.whats, self.forgiven);
        netlink.send_batch(&mut self.batch, |at, errno, said| {
            if forgiven.get(at).copied().flatten() == Some(errno) {
                return;
            }
            first.get_or_insert(Error {
                what: whats.get(at).cloned().unwrap_or_default(),
                errno,
                said,
            });
        })?;
        first.map_or(Ok(()), Err)
    }
}

/// Where something is attached (`struct tcmsg`).
#[derive(Clone, Copy)]
struct Place {
    interface: u32,
    handle: u32,
    parent: u32,
    info: u32,
}

impl Place {
    fn root(interface: u32) -> Place {
        Place {
            interface,
            handle: OWN,
            parent: TC_H_ROOT,
            info: 0,
        }
    }

    fn program(interface: u32, hook: Hook, number: u16, handle: u32) -> Place {
        Place {
            interface,
            handle,
            parent: hook.parent(),
            info: u32::from(number) << 16 | u32::from(ETH_P_ALL.to_be()),
        }
    }
}

/// Begins an attribute that holds others; to be closed.
fn nest(batch: &mut Batch, kind: u16) -> usize {
    let start = batch.position();
    batch.raw(&0u16.to_ne_bytes());
    batch.raw(&(kind | NESTED).to_ne_bytes());
    start
}

#[cfg(test)]
mod tests;

//! Programs at interfaces, and the room for them: made with the first, gone with the last.

use std::collections::BTreeSet;

use nix::errno::Errno;

use super::Change;
use crate::failure::Failure;
use crate::kernel::error::Error;
use crate::kernel::offload;
use crate::kernel::tc::{self, Action, Hook, Instruction, Requests};
use crate::lab::plan::PortStep;

/// What is at an interface of nslab's.
#[derive(Default)]
pub struct Programs {
    pub(super) own: BTreeSet<(Hook, u16)>,
    /// Whether the room for programs is nslab's, too.
    pub(super) made: bool,
}

impl Change<'_> {
    /// Attaches a program, or puts it into the place of the one that is there.
    pub(super) fn attach(
        &mut self,
        port: &PortStep,
        hook: Hook,
        number: u16,
        program: &[Instruction],
        action: Action,
    ) -> Result<(), Failure> {
        let key = (port.namespace, port.index);
        let mut requests = Requests::default();
        let is_first = !self.lab.links.programs.borrow().contains_key(&key);
        let mut made = true;
        if is_first {
            let queues = tc::queues(self.sockets.of(self.lab, port.namespace)?)?;
            made = !queues
                .iter()
                .any(|it| it.interface == port.index && it.kind == "clsact");
        }
        if is_first {
            requests.clsact(port.index);
        }
        requests.program(port.index, hook, number, program, action);
        self.send(port, requests)?;
        let mut all = self.lab.links.programs.borrow_mut();
        let programs = all.entry(key).or_insert_with(|| Programs {
            made,
            ..Programs::default()
        });
        programs.own.insert((hook, number));
        Ok(())
    }

    /// Takes a program away.
    pub(super) fn detach(&mut self, port: &PortStep, hook: Hook, number: u16) -> Result<(), Failure> {
        let key = (port.namespace, port.index);
        let mut requests = Requests::default();
        {
            let mut all = self.lab.links.programs.borrow_mut();
            let Some(programs) = all.get_mut(&key) else {
                return Ok(());
            };
            if !programs.own.remove(&(hook, number)) {
                return Ok(());
            }
            requests.remove_program(port.index, hook, number);
            if !programs.own.is_empty() {
                drop(all);
                return self.send(port, requests);
            }
            let made = programs.made;
            all.remove(&key);
            drop(all);
            self.send(port, requests)?;
            if !made {
                return Ok(());
            }
        }
        // Somebody in the node may have put programs of their own there meanwhile.
        let netlink = self.sockets.of(self.lab, port.namespace)?;
        for hook in [Hook::Egress, Hook::Ingress] {
            if !tc::filters(netlink, port.index, hook)?.is_empty() {
                return Ok(());
            }
        }
        let mut requests = Requests::default();
        requests.remove_clsact(port.index);
        self.send(port, requests)
    }

    /// Sends requests about an interface.
    pub(super) fn send(&mut self, port: &PortStep, requests: Requests) -> Result<(), Failure> {
        let sent = requests.send(self.sockets.of(self.lab, port.namespace)?);
        sent.map_err(|mut error| {
            error.what = error
                .what
                .replace(&format!("interface {}", port.index), &port.name);
            explain(error, &port.name)
        })
    }
}

/// What the kernel refused, with what to do.
pub(super) fn explain(error: Error, interface: &str) -> Failure {
    let errno = error.errno;
    if errno == Errno::EOPNOTSUPP && error.what.starts_with(offload::SETTING) {
        // A macvlan, for one: it passes long packets on to the interface below.
        let message = format!(
            "packets that are longer than the MTU leave {interface} whatever is asked: several would be lost, or counted, as one"
        );
        let help = "it can be delayed; for the rest impair the link that it is on";
        return Failure::wrong(message).help(help);
    }
    let failure = Failure::from(error);
    match errno {
        Errno::ENODEV => failure.help(format!("somebody in the node has deleted {interface}")),
        Errno::ENOENT | Errno::EOPNOTSUPP => failure.help(
            "this kernel lacks a part of traffic control: `nslab doctor` says which (modules sch_netem, sch_tbf, sch_ingress, cls_bpf, act_mirred)",
        ),
        Errno::EEXIST | Errno::EINVAL | Errno::EBUSY => failure.help(format!(
            "somebody in the node has traffic control of their own at {interface}: `tc qdisc show dev {interface}`, `tc filter show dev {interface} egress`"
        )),
        _ => failure,
    }
}

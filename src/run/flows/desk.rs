//! Takes the supervisor's orders, opens the sockets of flows, follows their ways, and tells what has become of them. What is in
//! time is the loops' affair.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use serde::{Deserialize, Serialize};

use super::engine::{Command, Engine, Told};
use super::live::Live;
use super::networks::Networks;
use super::path;
use super::places;
use super::topology::Topology;
use super::wire::{self, Wire};
use crate::failure::Failure;
use crate::kernel::clock::monotonic;
use crate::kernel::error::Attempt as _;
use crate::kernel::message::{self, Assembler, Frame, Received};
use crate::kernel::namespace::Namespace;
use crate::lab::flow::{self, Flow, MOST_FLOWS, MOST_PPS_OF_ALL};
use crate::run::protocol::{FlowReport, FlowState};

/// No order is longer, in bytes, nor has more descriptors.
pub const LONGEST: usize = 16 << 20;
const MOST_DESCRIPTORS: usize = 64;
/// Where no more flows are stopped together, what was over time is told of them, too.
const WITH_SERIES: usize = 64;

/// An order of the supervisor's.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// Its number, which its answer has, too.
    pub id: u64,
    /// What is to be done.
    pub what: What,
}

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub enum What {
    /// Know the next network namespaces, whose descriptors follow. Not answered.
    Namespaces,
    /// Start flows: all of them, or none.
    Start(Vec<Flow>),
    /// Stop flows. Answered when they are over.
    Stop(Vec<String>),
    /// Tell what has become of flows.
    Report {
        /// Their names; all where none is given. Those that were not started are left out.
        names: Vec<String>,
        /// Whether what was over time is told, too.
        series: bool,
        /// Whether their ways are found out anew.
        path: bool,
    },
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The order's number.
    pub id: u64,
    /// What has become of the flows, or why it cannot be done.
    pub result: Result<Vec<FlowReport>, Failure>,
}

/// A loop, as the desk knows it.
struct Loop {
    commands: Sender<Command>,
    wake: Arc<EventFd>,
}

impl Loop {
    fn command(&self, command: Command) {
        let _ = self.commands.send(command);
        let _ = self.wake.write(1);
    }
}

/// The desk.
pub struct Desk {
    supervisor: UnixStream,
    networks: Networks,
    flows: BTreeMap<String, Arc<Live>>,
    /// The loop of flows with a pace, which is urgent, and that of transfers, which is not.
    loops: [Option<Loop>; 2],
    told: Receiver<Told>,
    tell: (Sender<Told>, Arc<EventFd>),
    /// Orders to stop that are not answered yet.
    stopping: Vec<(u64, Vec<Arc<Live>>)>,
    next: u32,
}

impl Desk {
    /// One that has nothing to do yet.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new(supervisor: UnixStream, topology: Topology) -> Result<Desk, Failure> {
        let (sender, told) = channel();
        Ok(Desk {
            supervisor,
            networks: Networks::new(topology),
            flows: BTreeMap::new(),
            loops: [None, None],
            told,
            tell: (sender, Arc::new(event()?)),
            stopping: Vec::new(),
            // Two runs of one flow have other numbers.
            next: (monotonic() / 1000) as u32,
        })
    }

    /// Serves until the supervisor is gone.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn serve(mut self) -> Result<(), Failure> {
        let mut assembler = Assembler::of(LONGEST, MOST_DESCRIPTORS);
        loop {
            let is_ordered = self.wait()?;
            let _ = self.tell.1.read();
            self.hear()?;
            if !is_ordered {
                continue;
            }
            match assembler.read(&self.supervisor)? {
                Received::End => return Ok(()),
                Received::Nothing => continue,
                Received::Some => {}
            }
            while let Some(frame) = assembler.frame()? {
                self.obey(frame)?;
            }
        }
    }

    /// Waits until there is something to do. Returns whether there is something to read from the supervisor.
    fn wait(&self) -> Result<bool, Failure> {
        let mut fds = [
            PollFd::new(self.supervisor.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.tell.1.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => Ok(fds[0].any().unwrap_or(true)),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno).attempt(|| "wait for orders").map_err(Failure::from),
        }
    }

    /// Hears what the loops tell.
    fn hear(&mut self) -> Result<(), Failure> {
        while let Ok(told) = self.told.try_recv() {
            match told {
                Told::Path(live) => {
                    live.wants_path.store(false, Ordering::Release);
                    self.follow(&live);
                }
                Told::Over => {}
            }
        }
        let is_over = |live: &Arc<Live>| live.state() == FlowState::Stopped;
        let (over, stopping) = std::mem::take(&mut self.stopping)
            .into_iter()
            .partition(|(_, flows)| flows.iter().all(is_over));
        self.stopping = stopping;
        for (id, flows) in over {
            let flows: Vec<Arc<Live>> = flows;
            flows.iter().for_each(|live| self.follow(live));
            let series = flows.len() <= WITH_SERIES;
            let reports = flows.iter().map(|live| live.report(series)).collect();
            self.answer(id, Ok(reports))?;
        }
        Ok(())
    }

    /// Finds out the way of a flow.
    fn follow(&mut self, live: &Live) {
        live.found(path::walk(&mut self.networks, live.ends.from, &live.packet()));
    }

    fn obey(&mut self, frame: Frame) -> Result<(), Failure> {
        let damaged = |error| Failure::host(format!("an order to the flows is damaged: {error}"));
        let order: Order = serde_json::from_slice(&frame.bytes).map_err(damaged)?;
        let result = match order.what {
            What::Namespaces => {
                self.networks.add(frame.fds.into_iter().map(Namespace::from));
                return Ok(());
            }
            What::Start(flows) => self.start(flows),
            What::Stop(names) => match self.named(&names) {
                Ok(flows) => {
                    flows.iter().for_each(|live| self.stop(live));
                    self.stopping.push((order.id, flows));
                    return self.hear();
                }
                Err(failure) => Err(failure),
            },
            What::Report { names, series, path } => {
                let asked = |name: &str| names.is_empty() || names.iter().any(|it| it == name);
                let flows = self.flows.iter().filter(|(name, _)| asked(name));
                let flows: Vec<Arc<Live>> = flows.map(|(_, live)| Arc::clone(live)).collect();
                if path {
                    flows.iter().for_each(|live| self.follow(live));
                }
                Ok(flows.iter().map(|live| live.report(series)).collect())
            }
        };
        self.answer(order.id, result)
    }

    fn answer(&self, id: u64, result: Result<Vec<FlowReport>, Failure>) -> Result<(), Failure> {
        let answer = serde_json::to_vec(&Answer { id, result });
        let answer = answer.map_err(|error| Failure::host(error.to_string()))?;
        // Whoever is told waits until all is there; the loops do not.
        message::send(&self.supervisor, &answer, &[] as &[std::os::fd::OwnedFd])?;
        Ok(())
    }

    fn named(&self, names: &[String]) -> Result<Vec<Arc<Live>>, Failure> {
        if names.is_empty() {
            return Ok(self.flows.values().cloned().collect());
        }
        let find = |name: &String| {
            let found = self.flows.get(name).cloned();
            found.ok_or_else(|| {
                Failure::wrong(format!("flow {name} was not started"))
                    .help("`nslab flow show` lists the flows")
            })
        };
        names.iter().map(find).collect()
    }

    fn stop(&self, live: &Arc<Live>) {
        let which = usize::from(live.flow.pps.is_none());
        if let Some(it) = &self.loops[which]
            && live.state() == FlowState::Running
        {
            it.command(Command::Stop(live.id));
        }
    }

    /// Starts all of them, or none.
    fn start(&mut self, flows: Vec<Flow>) -> Result<Vec<FlowReport>, Failure> {
        self.bounds(&flows)?;
        let mut opened: Vec<(Arc<Live>, Wire)> = Vec::new();
        for flow in flows {
            flow::name(&flow.name).map_err(|(message, help)| Failure::wrong(message).help(help))?;
            if let Some((key, message, help)) = flow.diagnostics().into_iter().next() {
                return Err(Failure::wrong(format!("flow {}: {key}: {message}", flow.name)).help(help));
            }
            opened.push(self.open(flow)?);
        }
        for paced in [true, false] {
            if opened.iter().any(|(live, _)| live.flow.pps.is_some() == paced) {
                self.make_loop(paced)?;
            }
        }
        let mut all = Vec::new();
        for (live, wire) in opened {
            self.follow(&live);
            let which = usize::from(live.flow.pps.is_none());
            if let Some(it) = &self.loops[which] {
                it.command(Command::Start(Arc::clone(&live), wire));
            }
            self.flows.insert(live.flow.name.clone(), Arc::clone(&live));
            all.push(live);
        }
        Ok(all.iter().map(|live| live.report(false)).collect())
    }

    fn bounds(&self, flows: &[Flow]) -> Result<(), Failure> {
        let anew: BTreeSet<&str> = flows.iter().map(|flow| flow.name.as_str()).collect();
        let others = || {
            self.flows
                .values()
                .filter(|live| !anew.contains(live.flow.name.as_str()))
        };
        let count = others().count() + flows.len();
        if count > MOST_FLOWS {
            return Err(Failure::wrong(format!(
                "the lab would have {count} flows; {MOST_FLOWS} are allowed"
            )));
        }
        let mut names = BTreeSet::new();
        for flow in flows {
            let runs = self
                .flows
                .get(&flow.name)
                .is_some_and(|live| live.state() != FlowState::Stopped);
            if runs || !names.insert(&flow.name) {
                return Err(
                    Failure::wrong(format!("flow {} is running", flow.name)).help(format!(
                        "`nslab flow stop {}` stops it; or give the other another name",
                        flow.name
                    )),
                );
            }
        }
        let running = others()
            .filter(|live| live.state() == FlowState::Running)
            .map(|live| &live.flow);
        let all: u64 = running
            .chain(flows)
            .filter_map(|flow| flow.pps)
            .map(u64::from)
            .sum();
        if all > MOST_PPS_OF_ALL {
            let message = format!(
                "the flows would have {all} packets a second together; {MOST_PPS_OF_ALL} are allowed"
            );
            return Err(Failure::wrong(message).help("make fewer, or slower ones"));
        }
        Ok(())
    }

    fn open(&mut self, flow: Flow) -> Result<(Arc<Live>, Wire), Failure> {
        let named = |mut failure: Failure| {
            failure.message = format!("flow {}: {}", flow.name, failure.message);
            failure
        };
        let ends = places::find(&mut self.networks, &flow).map_err(named)?;
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let plan = wire::Plan {
            flow: &flow,
            ends: &ends,
            id,
        };
        let opened = wire::open(&self.networks, &plan).map_err(named)?;
        let namespace = self.networks.namespace(ends.from)?;
        let live = Live::new(flow, id, ends, namespace, opened.ports);
        Ok((Arc::new(live), opened.wire))
    }

    fn make_loop(&mut self, paced: bool) -> Result<(), Failure> {
        let which = usize::from(!paced);
        if self.loops[which].is_some() {
            return Ok(());
        }
        let (sender, commands) = channel();
        let wake = Arc::new(event()?);
        let (told, tell) = (self.tell.0.clone(), Arc::clone(&self.tell.1));
        let engine = Engine::new(commands, Arc::clone(&wake), told, tell)?;
        let name = if paced { "flows" } else { "transfers" };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || engine.run(paced))
            .attempt(|| "start a thread")?;
        self.loops[which] = Some(Loop {
            commands: sender,
            wake,
        });
        Ok(())
    }
}

fn event() -> Result<EventFd, Failure> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    Ok(EventFd::from_flags(flags).attempt(|| "make an event")?)
}

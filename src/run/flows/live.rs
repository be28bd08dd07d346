//! A flow that was started, as all threads of its process know it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::places::Ends;
use crate::flow::{Account, Settings};
use crate::kernel::clock::{monotonic, offset};
use crate::kernel::namespace::Namespace;
use crate::kernel::route_question::Packet;
use crate::lab::flow::{Flow, Proto};
use crate::run::protocol::{FlowPath, FlowReport, FlowState};

/// A flow.
pub struct Live {
    /// What was asked for.
    pub flow: Flow,
    /// Its number in packets.
    pub id: u32,
    /// Its ends.
    pub ends: Ends,
    /// The sender's namespace.
    pub namespace: Arc<Namespace>,
    /// The sender's port, of a connection the last one's; of echo requests the identifier.
    pub source_port: AtomicU16,
    /// The receiver's port.
    pub port: u16,
    /// Whether its way is to be found out anew.
    pub wants_path: AtomicBool,
    /// How often its connection was made anew.
    pub reconnected: AtomicU64,
    account: Mutex<Account>,
    state: AtomicU8,
    error: Mutex<Option<String>>,
    paths: Mutex<Paths>,
}

#[derive(Default)]
struct Paths {
    before: Option<FlowPath>,
    after: Option<FlowPath>,
    all: VecDeque<FlowPath>,
}

/// No more ways of a flow are kept.
const WAYS: usize = 16;

/// What a thread holds that panicked is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    /// One that begins.
    pub fn new(flow: Flow, id: u32, ends: Ends, namespace: Arc<Namespace>, ports: (u16, u16)) -> Live {
        let settings = Settings {
            interval_ns: flow.pps.map(|pps| 1_000_000_000 / u64::from(pps.max(1))),
            late_after_ns: u64::try_from(flow.late_after.as_nanos()).unwrap_or(u64::MAX),
        };
        Live {
            flow,
            id,
            ends,
            namespace,
            source_port: AtomicU16::new(ports.0),
            port: ports.1,
            wants_path: AtomicBool::default(),
            reconnected: AtomicU64::default(),
            account: Mutex::new(Account::new(settings)),
            state: AtomicU8::new(0),
            error: Mutex::default(),
            paths: Mutex::default(),
        }
    }

    /// The account of its packets.
    pub fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    /// What it does.
    pub fn state(&self) -> FlowState {
        match self.state.load(Ordering::Acquire) {
            0 => FlowState::Running,
            1 => FlowState::Stopping,
            _ => FlowState::Stopped,
        }
    }

    /// It goes on to the next state, or stays where it is.
    pub fn reach(&self, state: FlowState) {
        let number = match state {
            FlowState::Idle | FlowState::Running => 0,
            FlowState::Stopping => 1,
            FlowState::Stopped => 2,
        };
        self.state.fetch_max(number, Ordering::AcqRel);
    }

    /// Keeps what the kernel said.
    pub fn fail(&self, error: &std::io::Error) {
        let text = match error.raw_os_error() {
            Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
            None => error.to_string(),
        };
        *lock(&self.error) = Some(text);
    }

    /// Where its packets go.
    pub fn target(&self) -> SocketAddr {
        SocketAddr::new(self.ends.destination, self.port)
    }

    /// Where they come from.
    pub fn origin(&self) -> IpAddr {
        self.ends.source
    }

    /// Its packets, as a router sees them.
    pub fn packet(&self) -> Packet {
        let v4 = self.ends.destination.is_ipv4();
        let protocol = match self.flow.proto {
            Proto::Udp => 17,
            Proto::Tcp => 6,
            Proto::Icmp if v4 => 1,
            Proto::Icmp => 58,
        };
        let source_port = self.source_port.load(Ordering::Relaxed);
        let has_ports = self.flow.proto != Proto::Icmp;
        Packet {
            from: Some(self.ends.source),
            to: self.ends.destination,
            protocol,
            ports: has_ports.then_some((source_port, self.port)),
            dscp: self.flow.dscp,
        }
    }

    /// Keeps the way that was found.
    pub fn found(&self, path: FlowPath) {
        let mut paths = lock(&self.paths);
        paths.before.get_or_insert_with(|| path.clone());
        let last = paths.all.back();
        if !last.is_some_and(|last| last.interfaces == path.interfaces && last.ends == path.ends) {
            if paths.all.len() >= WAYS {
                paths.all.pop_front();
            }
            paths.all.push_back(path.clone());
        }
        paths.after = Some(path);
    }

    /// What has become of it.
    pub fn report(&self, series: bool) -> FlowReport {
        let state = self.state();
        let paths = lock(&self.paths);
        let figures = {
            let account = self.account();
            account.figures(monotonic(), state == FlowState::Stopped, series)
        };
        let is_icmp = self.flow.proto == Proto::Icmp;
        FlowReport {
            state,
            source: Some(self.ends.source),
            destination: Some(self.ends.destination),
            source_port: (!is_icmp).then(|| self.source_port.load(Ordering::Relaxed)),
            port: (!is_icmp).then_some(self.port),
            path_before: paths.before.clone(),
            path_after: paths.after.clone(),
            paths: paths.all.iter().cloned().collect(),
            reconnected: self.reconnected.load(Ordering::Relaxed),
            error: lock(&self.error).clone(),
            realtime_offset_ns: offset(),
            figures,
            ..FlowReport::idle(&self.flow)
        }
    }
}

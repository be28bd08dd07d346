//! The loop that sends and receives the packets of flows: one thread, which waits for times and sockets alone.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;

use super::connection::Seen;
use super::live::Live;
use super::wire::Wire;
use crate::failure::Failure;
use crate::flow::{Due, ECHO_HEADER, MOST, MS, Pace};
use crate::kernel::clock::{Timer, be_urgent, monotonic, offset};
use crate::kernel::error::Attempt as _;
use crate::run::protocol::FlowState;

/// How often it is looked whether all of a flow that was stopped has arrived.
const LOOK: u64 = 5 * MS;
/// Events that are taken at a time.
const EVENTS: usize = 256;
/// How many packets are sent until what has arrived is looked at.
const AT_ONCE: usize = 256;
/// Room for what is sent and received; packets need less.
const ROOM: usize = 256 << 10;
/// The kinds of what is watched, in the low bits of its number; above it the number of a socket, then that of the flow.
const KIND_BITS: u32 = 2;
const WHICH_BITS: u32 = 8;
const SOCKET: u64 = 0;
const OUTGOING: u64 = 1;
const INCOMING: u64 = 2;
/// The numbers of what is of no flow.
const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// What the loop is told to do.
pub enum Command {
    /// Run a flow.
    Start(Arc<Live>, Wire),
    /// Send no more of it, and end it when all has arrived that will.
    Stop(u32),
}

/// What the loop tells.
pub enum Told {
    /// The way of a flow may be another.
    Path(Arc<Live>),
    /// A flow is over.
    Over,
}

/// A flow that runs.
struct Runner {
    live: Arc<Live>,
    wire: Wire,
    pace: Option<Pace>,
    /// Until when what is on its way is waited for.
    until: Option<u64>,
    /// Whether nothing arrives that should.
    is_silent: bool,
    /// Which of its times counts.
    turn: u64,
}

/// The loop.
pub struct Engine {
    epoll: Epoll,
    timer: Timer,
    wake: Arc<EventFd>,
    commands: Receiver<Command>,
    told: Sender<Told>,
    tell: Arc<EventFd>,
    runners: HashMap<u64, Runner>,
    times: BinaryHeap<Reverse<(u64, u64, u64)>>,
    out: Vec<u8>,
    room: Vec<u8>,
}

impl Engine {
    /// One that has nothing to do yet.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new(
        commands: Receiver<Command>,
        wake: Arc<EventFd>,
        told: Sender<Told>,
        tell: Arc<EventFd>,
    ) -> Result<Engine, Failure> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).attempt(|| "watch the sockets of flows")?;
        let timer = Timer::new()?;
        epoll
            .add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER))
            .and_then(|()| epoll.add(wake.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, WAKE)))
            .attempt(|| "watch the sockets of flows")?;
        Ok(Engine {
            epoll,
            timer,
            wake,
            commands,
            told,
            tell,
            runners: HashMap::new(),
            times: BinaryHeap::new(),
            out: vec![0; ROOM],
            room: vec![0; ROOM.max(MOST + ECHO_HEADER)],
        })
    }

    /// Runs until nobody is there any more who could tell it something.
    pub fn run(mut self, is_urgent: bool) {
        if is_urgent {
            be_urgent();
        }
        let mut events = vec![EpollEvent::empty(); EVENTS];
        loop {
            self.timer.set(self.times.peek().map(|Reverse((at, ..))| *at));
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(_) => return,
            };
            // What is due goes first: what has arrived has its time already.
            let offset = offset();
            self.send_due(offset);
            for event in &events[..count] {
                match event.data() {
                    WAKE => {
                        let _ = self.wake.read();
                        if !self.obey() {
                            return;
                        }
                    }
                    TIMER => {}
                    number => self.look(number, offset),
                }
            }
        }
    }

    /// Returns false where nobody is there any more.
    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Start(live, wire)) => self.start(live, wire),
                Ok(Command::Stop(id)) => self.stop(u64::from(id)),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn start(&mut self, live: Arc<Live>, wire: Wire) {
        let key = u64::from(live.id);
        for (which, fd) in wire.readable() {
            watch(
                &self.epoll,
                fd,
                number(key, which, SOCKET),
                EpollFlags::EPOLLIN,
                &live,
            );
        }
        let now = monotonic();
        // Not all at once: those that are started together are spread over a packet's time.
        let pace = live.flow.pps.map(|pps| {
            let interval = 1_000_000_000 / u64::from(pps.max(1));
            Pace::new(
                now + key.wrapping_mul(0x9e37_79b9_7f4a_7c15) % interval.max(1),
                pps,
            )
        });
        let first = if live.flow.proto == crate::lab::flow::Proto::Tcp {
            now
        } else {
            pace.as_ref().map_or(now, Pace::next)
        };
        let runner = Runner {
            live,
            wire,
            pace,
            until: None,
            is_silent: false,
            turn: 0,
        };
        self.runners.insert(key, runner);
        self.times.push(Reverse((first, key, 0)));
    }

    fn stop(&mut self, key: u64) {
        let Some(runner) = self.runners.get_mut(&key) else {
            return;
        };
        let now = monotonic();
        let patience = u64::try_from(runner.live.flow.late_after.as_nanos()).unwrap_or(u64::MAX);
        runner.until.get_or_insert(now.saturating_add(patience));
        runner.live.reach(FlowState::Stopping);
        if let Some(connection) = runner.wire.connection() {
            connection.finish();
        }
        runner.turn += 1;
        self.times.push(Reverse((now, key, runner.turn)));
    }

    /// Does what is to be done by now. What cannot keep up waits for the next turn, so that it does not keep the loop from hearing.
    fn send_due(&mut self, offset: u64) {
        for _ in 0..AT_ONCE {
            let Some(Reverse((at, key, turn))) = self.times.peek().copied() else {
                return;
            };
            let now = monotonic();
            if at > now {
                return;
            }
            self.times.pop();
            let Some(runner) = self.runners.get_mut(&key).filter(|it| it.turn == turn) else {
                continue;
            };
            match runner.tick(key, (now, offset), &self.epoll, &mut self.out) {
                Some(next) => {
                    let falls_silent = runner.falls_silent(now).then(|| Arc::clone(&runner.live));
                    self.times.push(Reverse((next, key, turn)));
                    if let Some(live) = falls_silent {
                        self.tell_path(live);
                    }
                }
                None => {
                    if let Some(runner) = self.runners.remove(&key) {
                        runner.live.reach(FlowState::Stopped);
                    }
                    self.tell(Told::Over);
                }
            }
        }
    }

    fn tell(&self, what: Told) {
        // Who is not there any more is not told.
        let _ = self.told.send(what);
        let _ = self.tell.write(1);
    }

    /// Looks at a socket that has something to tell.
    fn look(&mut self, number: u64, offset: u64) {
        let kind = number & ((1 << KIND_BITS) - 1);
        let which = (number >> KIND_BITS) & ((1 << WHICH_BITS) - 1);
        let key = number >> (KIND_BITS + WHICH_BITS);
        let Some(runner) = self.runners.get_mut(&key) else {
            return;
        };
        let seen = runner.look(key, kind, which as usize, offset, (&self.epoll, &mut self.room));
        let live = Arc::clone(&runner.live);
        if seen.outage_ended || seen.connected {
            self.tell_path(live);
        }
    }

    fn tell_path(&self, live: Arc<Live>) {
        if !live.wants_path.swap(true, Ordering::AcqRel) {
            self.tell(Told::Path(live));
        }
    }
}

fn number(key: u64, which: u64, kind: u64) -> u64 {
    (key << (KIND_BITS + WHICH_BITS)) | (which << KIND_BITS) | kind
}

fn watch(epoll: &Epoll, fd: BorrowedFd<'_>, number: u64, flags: EpollFlags, live: &Live) {
    if let Err(errno) = epoll.add(fd, EpollEvent::new(flags, number)) {
        live.fail(&errno.into());
    }
}

impl Runner {
    /// Whether an outage begins now.
    fn falls_silent(&mut self, now: u64) -> bool {
        let is_silent = self.until.is_none() && self.live.account().silent_since(now).is_some();
        let was_silent = std::mem::replace(&mut self.is_silent, is_silent);
        is_silent && !was_silent
    }

    /// What its time has come for. Returns the next; none when it is over.
    fn tick(&mut self, key: u64, clock: (u64, u64), epoll: &Epoll, room: &mut [u8]) -> Option<u64> {
        let (now, offset) = clock;
        if let Some(until) = self.until {
            let is_over = now >= until || self.live.account().is_complete();
            return (!is_over).then_some(now + LOOK);
        }
        let mut again = None;
        if let Some(connection) = self.wire.connection() {
            if let Some(fd) = connection.begin(&self.live, now) {
                let flags = match self.pace {
                    // It is told once that it is there.
                    Some(_) => EpollFlags::EPOLLOUT | EpollFlags::EPOLLONESHOT,
                    None => EpollFlags::EPOLLOUT,
                };
                watch(epoll, fd, number(key, 0, OUTGOING), flags, &self.live);
            }
            again = connection.next();
        }
        let Some(pace) = &mut self.pace else {
            // One that breaks between two looks is made anew at the next.
            return Some(again.unwrap_or(u64::MAX).clamp(now + MS, now + 100 * MS));
        };
        match pace.due(now) {
            Due::At(next) => Some(next),
            Due::Now { gap } => {
                if let Some(gap) = gap {
                    self.live.account().gap(gap);
                }
                let next = pace.next();
                self.wire.send(&self.live, offset, room);
                Some(next)
            }
        }
    }

    fn look(&mut self, key: u64, kind: u64, which: usize, offset: u64, with: (&Epoll, &mut [u8])) -> Seen {
        let (epoll, room) = with;
        let live = Arc::clone(&self.live);
        let Some(connection) = self.wire.connection() else {
            return Seen {
                outage_ended: self.wire.receive(&live, which, offset, room),
                connected: false,
            };
        };
        match kind {
            SOCKET => {
                if let Some(fd) = connection.accept(which) {
                    watch(epoll, fd, number(key, 0, INCOMING), EpollFlags::EPOLLIN, &live);
                }
                Seen::default()
            }
            OUTGOING if self.until.is_none() => connection.writable(&live, room),
            OUTGOING => Seen::default(),
            _ => connection.readable(&live, offset, room),
        }
    }
}

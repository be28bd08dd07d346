//! The process that keeps packets for a while: one for each lab that needs it, a child of the supervisor. What it holds goes with
//! it, and it goes with the supervisor.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::packets::{Packets, Room};
use super::protocol::{Answer, LONGEST, Order};
use crate::failure::Failure;
use crate::kernel::capability::Capabilities;
use crate::kernel::error::Attempt as _;
use crate::kernel::message::{self, Assembler, Received};
use crate::kernel::spawn::inherited;
use crate::kernel::timer::{self, Timer};
use crate::kernel::tun::{self, Unfinished};
use crate::kernel::{packet_sender, process};
use crate::lab::impair::Impairment;

/// The hidden verb.
pub const VERB: &str = "delay-packets";
/// The longest frame with its header: what the kernel joins to one is no longer.
const LONGEST_FRAME: usize = 68 * 1024;
/// So many frames are taken from one interface before others have their turn.
const A_TURN: usize = 64;
/// So many events are heard at once.
const EVENTS: usize = 64;
/// What is heard beside interfaces, whose numbers are smaller.
const SUPERVISOR: u64 = u64::MAX;
const TIME: u64 = u64::MAX - 1;
/// Before most others, in steps of nice(2).
const FIRST: i32 = -15;
/// Descriptors of orders that are not complete.
const MOST_DESCRIPTORS: usize = 8;

/// Runs it until the supervisor is gone. The number is that of the inherited socket to it.
pub fn main(supervisor: RawFd) -> i32 {
    match serve(supervisor) {
        Ok(()) => 0,
        // The supervisor's log has the sentence.
        Err(failure) => {
            eprintln!("{failure}");
            1
        }
    }
}

/// One direction: where frames come from and where they go.
struct Way {
    tap: File,
    out: OwnedFd,
    packets: Packets,
}

struct Ways {
    all: BTreeMap<u64, Way>,
    epoll: Epoll,
    frame: Vec<u8>,
    room: Room,
}

fn serve(supervisor: RawFd) -> Result<(), Failure> {
    let supervisor = UnixStream::from(inherited(supervisor)?);
    process::raise_open_files();
    timer::be_exact();
    // Late packets are later still where others have the CPU.
    process::stand_back(FIRST);
    // Whatever comes in a packet, there is nothing to be had here.
    Capabilities::default().keep()?;
    supervisor.set_nonblocking(true).attempt(|| "set up a socket")?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).attempt(|| "wait for packets")?;
    let time = Timer::new()?;
    for (descriptor, number) in [(supervisor.as_fd(), SUPERVISOR), (time.as_fd(), TIME)] {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
        epoll.add(descriptor, event).attempt(|| "wait for packets")?;
    }
    let mut assembler = Assembler::of(LONGEST, MOST_DESCRIPTORS);
    let mut ways = Ways {
        all: BTreeMap::new(),
        epoll,
        frame: vec![0; LONGEST_FRAME],
        room: Room::default(),
    };
    let mut events = [EpollEvent::empty(); EVENTS];
    let mut set = None;
    loop {
        let heard = match ways.epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            heard => heard.attempt(|| "wait for packets")?,
        };
        for event in &events[..heard] {
            match event.data() {
                SUPERVISOR => {
                    if !ways.hear(&supervisor, &mut assembler)? {
                        return Ok(());
                    }
                }
                // What is due is looked for below.
                TIME => {}
                id => {
                    ways.take(id);
                }
            }
        }
        let next = ways.send();
        // A time that has come makes it readable until it is set again.
        if next != set || events[..heard].iter().any(|event| event.data() == TIME) {
            time.set(next)?;
            set = next;
        }
    }
}

impl Ways {
    /// Hears the supervisor's orders. Returns false where it is gone.
    fn hear(&mut self, supervisor: &UnixStream, assembler: &mut Assembler) -> Result<bool, Failure> {
        loop {
            match assembler.read(supervisor)? {
                Received::End => return Ok(false),
                Received::Nothing => return Ok(true),
                Received::Some => {}
            }
            while let Some(frame) = assembler.frame()? {
                let order = serde_json::from_slice(&frame.bytes);
                let order = order.map_err(|error| Failure::host(format!("an order is damaged: {error}")))?;
                let answer = self
                    .obey(order, frame.fds)
                    .unwrap_or_else(|failure| Answer::Failed(failure.message));
                let answer = serde_json::to_vec(&answer).unwrap_or_default();
                // It reads each answer before it gives the next order.
                message::send(supervisor, &answer, &[] as &[OwnedFd])?;
            }
        }
    }

    fn obey(&mut self, order: Order, fds: Vec<OwnedFd>) -> Result<Answer, Failure> {
        match order {
            Order::Add { all } => {
                let mut fds = fds.into_iter();
                for (id, asked) in all {
                    let (Some(tap), Some(out)) = (fds.next(), fds.next()) else {
                        return Err(Failure::host("an order came without its descriptors"));
                    };
                    self.add(id, asked, File::from(tap), out)?;
                }
            }
            Order::Change { id, asked } => {
                let way = self.all.get_mut(&id).ok_or_else(unknown)?;
                tun::take(&way.tap, unfinished(&asked))?;
                way.packets.change(asked, id & 1);
            }
            Order::Remove { id } => {
                self.take_all(id);
                let mut way = self.all.remove(&id).ok_or_else(unknown)?;
                while let Some(frame) = way.packets.arrived(u64::MAX) {
                    way.send(&frame);
                }
                // Closed with the value; until then it would be heard.
                let _ = self.epoll.delete(&way.tap);
                tun::forget(&way.tap)?;
            }
            Order::Count => {
                let counts = self.all.iter().map(|(id, way)| (*id, way.packets.counts));
                return Ok(Answer::Counts(counts.collect()));
            }
        }
        Ok(Answer::Done)
    }

    fn add(&mut self, id: u64, asked: Impairment, tap: File, out: OwnedFd) -> Result<(), Failure> {
        tun::take(&tap, unfinished(&asked))?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, id);
        self.epoll.add(&tap, event).attempt(|| "wait for packets")?;
        let packets = Packets::new(asked, id & 1, self.room.clone());
        self.all.insert(id, Way { tap, out, packets });
        Ok(())
    }

    /// Takes what waits at an interface, up to a turn's worth. Returns whether there may be more.
    fn take(&mut self, id: u64) -> bool {
        let Some(way) = self.all.get_mut(&id) else {
            return false;
        };
        for _ in 0..A_TURN {
            match way.tap.read(&mut self.frame) {
                Ok(length) if length > 0 => {
                    let frame = self.frame[..length].to_vec();
                    way.packets.take(timer::now(), frame);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(_) => return false,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                // The interface is gone with its namespace, or the node has deleted it: it would be heard for ever.
                Err(_) => {
                    let _ = self.epoll.delete(&way.tap);
                    return false;
                }
            }
        }
        true
    }

    /// All that waits at an interface; no more than its queue holds.
    fn take_all(&mut self, id: u64) {
        for _ in 0..256 {
            if !self.take(id) {
                return;
            }
        }
    }

    /// Sends what has arrived. Returns when the next arrives.
    fn send(&mut self) -> Option<u64> {
        let mut next: Option<u64> = None;
        for way in self.all.values_mut() {
            let Some(first) = way.packets.next() else {
                continue;
            };
            let now = timer::now();
            if first <= now {
                while let Some(frame) = way.packets.arrived(now) {
                    way.send(&frame);
                }
            }
            next = [next, way.packets.next()].into_iter().flatten().min();
        }
        next
    }
}

impl Way {
    fn send(&mut self, frame: &[u8]) {
        match packet_sender::send(self.out.as_fd(), frame) {
            Ok(()) => self.packets.counts.sent += 1,
            Err(_) => self.packets.counts.refused += 1,
        }
    }
}

/// What packets may lack that are treated like this: each by itself must be as it is on a wire.
fn unfinished(asked: &Impairment) -> Unfinished {
    let is_late_only = !asked.is_by_packet() && asked.rate.is_none() && asked.jitter.is_zero();
    match (is_late_only, asked.corrupt.is_zero()) {
        (true, _) => Unfinished::Segments,
        (false, true) => Unfinished::Checksum,
        (false, false) => Unfinished::Nothing,
    }
}

fn unknown() -> Failure {
    Failure::host("there is no such queue")
}

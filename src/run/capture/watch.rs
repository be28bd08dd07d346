//! The loop of a capture: reads sockets, puts packets and events in order, hands them on.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::happenings::{Coming, Happenings, News};
use super::open::Opened;
use super::output::Written;
use super::{Counted, Form, Order, Output, Packet, Report};
use crate::capture::merge::Merger;
use crate::failure::Failure;
use crate::kernel::error::{Attempt as _, Error};
use crate::kernel::packet_socket::Buffers;
use crate::kernel::signals;
use crate::run::events::Event;

/// A packet that the kernel has given its time may be so late in its socket.
const LATE: Duration = Duration::from_millis(5);
/// Of one socket so many batches are taken before the others have their turn.
const TURN: usize = 16;
/// So many bytes of packets are held back for their order, unless they come faster than that.
const MOST_HELD: usize = 64 << 20;
/// At the end what waits in the sockets is read for so long at most.
const LAST: Duration = Duration::from_secs(2);
/// How often lost packets are counted.
const COUNT: Duration = Duration::from_secs(1);
/// No longer packets are there (BIG TCP apart).
const LONGEST: u32 = 128 << 10;
/// At the end so many bytes are written for each interface, comments apart.
const END: usize = 128;
/// What is handed on at once.
const CHUNK: usize = 256 << 10;

enum Item {
    Packet(Packet),
    Event(Event),
}

/// Captures until it is enough.
pub fn run(
    order: &Order<'_>,
    opened: Vec<Opened>,
    happenings: Happenings,
    form: &mut dyn Form,
    output: Output,
    tell: &mut dyn FnMut(&str),
) -> Result<Report, Failure> {
    let ended = signals::watch()?;
    let started = now();
    let coming = happenings.listen(started as f64 / 1e9)?;
    let interfaces = match opened.len() {
        1 => "1 interface".to_owned(),
        many => format!("{many} interfaces"),
    };
    tell(&format!("capturing on {interfaces} of lab {}\n", order.lab.lab));
    let mut capture = Capture::new(order, opened, coming, form, output, started)?;
    let end = order.duration.map(|duration| Instant::now() + duration);
    let error = loop {
        if let Some(error) = capture.output.look() {
            break Some(error);
        }
        if capture.is_enough() || capture.report.lab_is_over || end.is_some_and(|end| Instant::now() >= end) {
            break None;
        }
        if capture.wait(&ended, end)? {
            break None;
        }
        capture.round()?;
        capture.count(tell)?;
    };
    capture.finish(error, ended, tell)
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX))
}

/// An interface, and how many packets of it there were.
struct Source {
    opened: Opened,
    /// That passed the filter.
    all: u64,
    /// That were read.
    taken: u64,
}

struct Capture<'c> {
    sources: Vec<Source>,
    /// How many bytes of packets are held back.
    held: usize,
    ready: Epoll,
    events: Vec<EpollEvent>,
    buffers: Buffers,
    coming: Coming,
    merger: Merger<Item>,
    form: &'c mut dyn Form,
    output: Output,
    out: Vec<u8>,
    report: Report,
    most: u64,
    /// So many bytes may still be written, the end included.
    room: u64,
    counted: Instant,
    told: u64,
}

impl<'c> Capture<'c> {
    fn new(
        order: &Order<'_>,
        opened: Vec<Opened>,
        coming: Coming,
        form: &'c mut dyn Form,
        output: Output,
        started: u64,
    ) -> Result<Capture<'c>, Failure> {
        let what = || "watch packet sockets";
        let ready = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).attempt(what)?;
        for (number, opened) in opened.iter().enumerate() {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
            ready.add(&opened.socket, event).attempt(what)?;
        }
        let source = |opened| Source {
            opened,
            all: 0,
            taken: 0,
        };
        let ends: Vec<_> = opened.iter().map(|opened| opened.end.clone()).collect();
        let mut out = Vec::new();
        form.begin(&mut out, started, &ends);
        let taken = (out.len() + END * opened.len()) as u64;
        output.write(out);
        Ok(Capture {
            // All sockets at once: what is read of some is not to be handed on before others were looked at.
            events: vec![EpollEvent::empty(); opened.len().max(1)],
            buffers: Buffers::new(order.snaplen.min(LONGEST) as usize),
            report: Report {
                started,
                each: vec![Counted::default(); opened.len()],
                ..Report::default()
            },
            sources: opened.into_iter().map(source).collect(),
            held: 0,
            ready,
            coming,
            merger: Merger::default(),
            form,
            output,
            out: Vec::new(),
            most: order.count.unwrap_or(u64::MAX),
            room: order.max_size.unwrap_or(u64::MAX).saturating_sub(taken),
            counted: Instant::now(),
            told: 0,
        })
    }

    fn is_enough(&self) -> bool {
        self.report.packets >= self.most || self.report.is_full
    }

    /// Waits for anything. Returns whether somebody wants it to end.
    fn wait(&self, ended: &UnixStream, end: Option<Instant>) -> Result<bool, Failure> {
        let mut patience = if self.merger.is_empty() { COUNT } else { LATE };
        if let Some(end) = end {
            patience = patience.min(end.saturating_duration_since(Instant::now()));
        }
        let mut fds = vec![
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.coming.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.output.as_fd(), PollFlags::POLLIN),
        ];
        if self.output.has_room() {
            fds.push(PollFd::new(self.ready.0.as_fd(), PollFlags::POLLIN));
        }
        // Up to the next millisecond: shorter times would make it turn without a rest.
        let patience = patience + Duration::from_millis(1);
        match poll(
            &mut fds,
            PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX),
        ) {
            Ok(_) | Err(Errno::EINTR) => Ok(fds[0].any().unwrap_or(false)),
            Err(errno) => Err(Error::new("wait for packets", errno).into()),
        }
    }

    /// Takes what has come, and hands on what nothing earlier can follow any more. Returns whether nothing waits in the sockets.
    fn round(&mut self) -> Result<bool, Failure> {
        // What passed before this is in the sockets, or will be soon.
        let mut until = now().saturating_sub(LATE.as_nanos() as u64);
        let mut is_all = false;
        if self.output.has_room() {
            let more = self.read()?;
            until = until.min(more.unwrap_or(u64::MAX));
            is_all = more.is_none();
        }
        for news in self.coming.take() {
            match news {
                News::Event(event) => self.merger.push(nanoseconds(event.time), Item::Event(event)),
                News::Over => self.report.lab_is_over = true,
            }
        }
        // Somebody has set the clock back, perhaps.
        if self.held > MOST_HELD && is_all {
            until = u64::MAX;
        }
        self.hand_on(until);
        Ok(is_all)
    }

    /// Reads the sockets that have something. Returns the time up to which all is read of those whose turn was over.
    fn read(&mut self) -> Result<Option<u64>, Failure> {
        let count = match self.ready.wait(&mut self.events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(Error::new("wait for packets", errno).into()),
        };
        let mut until = None;
        for event in 0..count {
            let number = self.events[event].data() as usize;
            if let Some(last) = self.read_one(number)? {
                until = Some(until.map_or(last, |until: u64| until.min(last)));
            }
        }
        Ok(until)
    }

    /// Reads a socket. Returns the time of its last packet where there may be more.
    fn read_one(&mut self, number: usize) -> Result<Option<u64>, Failure> {
        let mut last = None;
        for _ in 0..TURN {
            let (merger, held, source) = (&mut self.merger, &mut self.held, &mut self.sources[number]);
            let count = source.opened.socket.receive(&mut self.buffers, |received| {
                last = Some(received.time);
                *held += received.bytes.len();
                let packet = Packet {
                    end: number,
                    time: received.time,
                    bytes: received.bytes.into(),
                    length: received.length,
                    is_outgoing: received.is_outgoing,
                };
                merger.push(received.time, Item::Packet(packet));
            })?;
            source.taken += count as u64;
            if count == 0 {
                return Ok(None);
            }
        }
        Ok(last)
    }

    fn hand_on(&mut self, until: u64) {
        while !self.is_enough()
            && let Some((_, item)) = self.merger.pop(until)
        {
            let before = self.out.len();
            match &item {
                Item::Event(event) => self.form.event(&mut self.out, event),
                Item::Packet(packet) => self.form.packet(&mut self.out, packet),
            }
            let taken = (self.out.len() - before) as u64;
            if taken > self.room {
                self.out.truncate(before);
                self.report.is_full = true;
                break;
            }
            self.room -= taken;
            if let Item::Packet(packet) = &item {
                self.held = self.held.saturating_sub(packet.bytes.len());
                self.report.packets += 1;
                self.report.each[packet.end].packets += 1;
            }
            if self.out.len() >= CHUNK {
                self.output.write(std::mem::take(&mut self.out));
            }
        }
        if !self.out.is_empty() {
            self.output.write(std::mem::take(&mut self.out));
        }
    }

    /// Counts lost packets, and tells of new ones.
    fn count(&mut self, tell: &mut dyn FnMut(&str)) -> Result<(), Failure> {
        if self.counted.elapsed() < COUNT {
            return Ok(());
        }
        self.counted = Instant::now();
        self.count_now()?;
        if self.report.lost > self.told {
            let why = match self.output.has_room() {
                true => "they come faster than they can be read",
                false => "what reads the capture does not keep up",
            };
            tell(&format!("note: {} packets are lost: {why}\n", self.report.lost));
            self.told = self.report.lost;
        }
        Ok(())
    }

    fn count_now(&mut self) -> Result<(), Failure> {
        for (source, counted) in self.sources.iter_mut().zip(&mut self.report.each) {
            let counts = source.opened.socket.counts()?;
            source.all += counts.all;
            counted.lost += counts.lost;
        }
        self.report.lost = self.report.each.iter().map(|counted| counted.lost).sum();
        Ok(())
    }

    /// Reads what is still in the sockets. What of that finds no room is lost.
    fn read_rest(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let mut is_all = false;
        while !is_all && !self.is_enough() && self.output.has_room() && began.elapsed() < LAST {
            is_all = self.round()?;
        }
        self.hand_on(u64::MAX);
        self.count_now()?;
        if !is_all && !self.is_enough() {
            for (source, counted) in self.sources.iter().zip(&mut self.report.each) {
                counted.lost = source.all.saturating_sub(source.taken);
            }
            self.report.lost = self.report.each.iter().map(|counted| counted.lost).sum();
        }
        Ok(())
    }

    fn finish(
        mut self,
        error: Option<std::io::Error>,
        ended: UnixStream,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Report, Failure> {
        if error.is_none() {
            self.read_rest()?;
        }
        self.report.ended = now();
        let mut out = Vec::new();
        self.form.end(&mut out, &self.report);
        self.output.write(out);
        let _ = std::io::Read::read(&mut &ended, &mut [0; 64]);
        let written = match error {
            Some(error) => Written::Failed(error),
            None => self.output.finish(ended.as_fd()),
        };
        match written {
            Written::All => Ok(self.report),
            Written::NotAll(bytes) => {
                tell(&format!("note: {} packets are lost\n", self.report.lost));
                let message = format!("what reads the capture has stopped: {bytes} bytes did not arrive");
                Err(Failure::not_ready(message))
            }
            Written::Failed(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.report.reader_has_gone = true;
                Ok(self.report)
            }
            Written::Failed(error) => Err(failed(&error)),
        }
    }
}

/// That the output cannot be written.
fn failed(error: &std::io::Error) -> Failure {
    let failure = Failure::host(format!("cannot write the capture: {error}"));
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG) => {
            failure.help("what was written before that can be read; make room, or keep less with --snaplen, --filter or --count")
        }
        _ => failure,
    }
}

/// A time of an event, in nanoseconds.
fn nanoseconds(seconds: f64) -> u64 {
    // It is in the past or near to now: it fits by far.
    (seconds * 1e9) as u64
}

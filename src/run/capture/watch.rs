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
const TURN: usize = 32;
/// How often lost packets are counted.
const COUNT: Duration = Duration::from_secs(1);
/// No longer packets are there (BIG TCP apart).
const LONGEST: u32 = 128 << 10;
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

struct Capture<'c> {
    opened: Vec<Opened>,
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
        let ends: Vec<_> = opened.iter().map(|opened| opened.end.clone()).collect();
        let mut out = Vec::new();
        form.begin(&mut out, started, &ends);
        output.write(out);
        Ok(Capture {
            events: vec![EpollEvent::empty(); opened.len().clamp(1, 256)],
            buffers: Buffers::new(order.snaplen.min(LONGEST) as usize),
            report: Report {
                started,
                each: vec![Counted::default(); opened.len()],
                ..Report::default()
            },
            opened,
            ready,
            coming,
            merger: Merger::default(),
            form,
            output,
            out: Vec::new(),
            most: order.count.unwrap_or(u64::MAX),
            counted: Instant::now(),
            told: 0,
        })
    }

    fn is_enough(&self) -> bool {
        self.report.packets >= self.most
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

    /// Takes what has come, and hands on what nothing earlier can follow any more.
    fn round(&mut self) -> Result<(), Failure> {
        // What passed before this is in the sockets, or will be soon.
        let mut until = now().saturating_sub(LATE.as_nanos() as u64);
        if self.output.has_room() {
            until = until.min(self.read()?);
        }
        for news in self.coming.take() {
            match news {
                News::Event(event) => self.merger.push(nanoseconds(event.time), Item::Event(event)),
                News::Over => self.report.lab_is_over = true,
            }
        }
        self.hand_on(until);
        Ok(())
    }

    /// Reads the sockets that have something. Returns the time up to which all is read of those whose turn was over.
    fn read(&mut self) -> Result<u64, Failure> {
        let mut until = u64::MAX;
        loop {
            let count = match self.ready.wait(&mut self.events, EpollTimeout::ZERO) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(errno) => return Err(Error::new("wait for packets", errno).into()),
            };
            for event in 0..count {
                let number = self.events[event].data() as usize;
                if let Some(last) = self.read_one(number)? {
                    until = until.min(last);
                }
            }
            // All that were ready are read, and are ready again only for what has come since.
            if count < self.events.len() || !self.output.has_room() || until != u64::MAX {
                return Ok(until);
            }
        }
    }

    /// Reads a socket. Returns the time of its last packet where there are more.
    fn read_one(&mut self, number: usize) -> Result<Option<u64>, Failure> {
        let mut last = None;
        for _ in 0..TURN {
            let (merger, socket) = (&mut self.merger, &self.opened[number].socket);
            let count = socket.receive(&mut self.buffers, |received| {
                last = Some(received.time);
                let packet = Packet {
                    end: number,
                    time: received.time,
                    bytes: received.bytes.into(),
                    length: received.length,
                    is_outgoing: received.is_outgoing,
                };
                merger.push(received.time, Item::Packet(packet));
            })?;
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
            match item {
                Item::Event(event) => self.form.event(&mut self.out, &event),
                Item::Packet(packet) => {
                    self.report.packets += 1;
                    self.report.each[packet.end].packets += 1;
                    self.form.packet(&mut self.out, &packet);
                }
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
        for (opened, counted) in self.opened.iter().zip(&mut self.report.each) {
            let lost = opened.socket.counts()?.lost;
            counted.lost += lost;
            self.report.lost += lost;
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
            self.round()?;
            self.hand_on(u64::MAX);
        }
        self.report.ended = now();
        self.count_now()?;
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

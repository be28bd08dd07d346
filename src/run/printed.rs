//! What processes print, on its way to the nodes' logs: read by a thread of its own, so that nobody who prints much keeps
//! the supervisor from its work. Each stream has a budget. Beyond it the thread reads no further for a while, and the
//! writer waits on its full pipe, as it would on a slow terminal: nothing is lost, and one that prints for ever
//! takes little of a CPU.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::logs::{self, LogWriter};
use super::timeline::recorder::Ear;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::{event_loop, process};

/// Longest line of a log; longer ones are cut into pieces.
const LINE: usize = 8 * 1024;
/// How much is read at a time: the streams take turns.
const TURN: usize = 16 * 1024;
/// Most that a pipe holds for a process without privileges (`fs.pipe-max-size`).
const PIPE: usize = 1 << 20;
/// How much of a command's output is kept for messages.
const KEPT: usize = 16 * 1024;
/// Bytes a stream may bring at once, and a second after that.
const BURST: u64 = 16 << 20;
const RATE: u64 = 1 << 20;
/// What a line costs beside its bytes: its time and its process are written, too.
const LINE_COST: u64 = 16;
/// How much the thread stands back where the CPU is short.
const NICE: i32 = 5;

/// The end of what a command printed.
pub type Kept = Arc<Mutex<Vec<u8>>>;

/// Where streams are handed over.
pub struct Printed {
    streams: mpsc::UnboundedSender<Stream>,
}

/// Something to be read.
enum Stream {
    Pipe {
        node: usize,
        reader: OwnedFd,
        pump: Pump,
        has_ended: oneshot::Receiver<()>,
        drained: oneshot::Sender<()>,
    },
    Syslog {
        node: usize,
        socket: OwnedFd,
        gone: oneshot::Receiver<()>,
    },
}

/// A pipe that is read.
pub struct Reading {
    /// To be told when the command has ended, whoever else may still write.
    pub ended: oneshot::Sender<()>,
    /// Tells when all is read that was written until then.
    pub drained: oneshot::Receiver<()>,
}

impl Printed {
    /// Starts the thread. The logs are those of the nodes, in their order: where they are, and how many bytes they may have.
    /// Who listens hears every line of them.
    ///
    /// # Errors
    /// No thread can be started, or no descriptors are left.
    pub fn start(logs: Vec<(PathBuf, Option<u64>)>, ear: Option<Ear>) -> Result<Printed, Failure> {
        let what = || "start the thread that writes the logs";
        let runtime = event_loop::start();
        let runtime = runtime.attempt(what)?;
        let (sender, streams) = mpsc::unbounded_channel();
        let work = move || {
            process::stand_back(NICE);
            let writers = logs.into_iter().map(|(path, most)| LogWriter::new(path, most));
            let writers = writers.map(|writer| Rc::new(RefCell::new(writer)));
            let logs = writers
                .enumerate()
                .map(|(node, writer)| Log {
                    node,
                    writer,
                    ear: ear.clone(),
                })
                .collect();
            LocalSet::new().block_on(&runtime, take_all(streams, logs));
        };
        let thread = std::thread::Builder::new().name("nslab-logs".to_owned());
        // It ends with the process.
        thread.spawn(work).attempt(what)?;
        Ok(Printed { streams: sender })
    }

    /// Reads what comes out of a pipe to the log of a node, until nobody can write to it any more.
    pub fn pipe(&self, node: usize, name: &str, reader: OwnedFd, kept: Option<Kept>) -> Reading {
        let (drained, is_drained) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let pump = Pump {
            name: name.to_owned(),
            kept,
            line: Vec::new(),
        };
        // The thread lives as long as this value.
        let _ = self.streams.send(Stream::Pipe {
            node,
            reader,
            pump,
            has_ended,
            drained,
        });
        Reading {
            ended,
            drained: is_drained,
        }
    }

    /// Reads what is logged through the /dev/log of a node, until the value that is returned is dropped.
    pub fn syslog(&self, node: usize, socket: OwnedFd) -> oneshot::Sender<()> {
        let (stays, gone) = oneshot::channel();
        let _ = self.streams.send(Stream::Syslog { node, socket, gone });
        stays
    }
}

/// The log of a node.
#[derive(Clone)]
struct Log {
    node: usize,
    writer: Rc<RefCell<LogWriter>>,
    ear: Option<Ear>,
}

impl Log {
    /// Adds lines. A full disk loses log lines; the lab goes on.
    fn lines<'a>(&self, process: &str, lines: impl IntoIterator<Item = &'a [u8]>) {
        let lines = lines.into_iter().inspect(|line| {
            if let Some(ear) = &self.ear {
                ear.line(self.node, line);
            }
        });
        let _ = self.writer.borrow_mut().lines(process, lines);
    }
}

async fn take_all(mut streams: mpsc::UnboundedReceiver<Stream>, logs: Vec<Log>) {
    while let Some(stream) = streams.recv().await {
        let log = |node: usize| logs.get(node).cloned();
        match stream {
            Stream::Pipe {
                node,
                reader,
                pump,
                has_ended,
                drained,
            } => {
                if let (Some(log), Ok(reader)) = (log(node), pipe::Receiver::from_owned_fd(reader)) {
                    tokio::task::spawn_local(pump.run(log, reader, has_ended, drained));
                }
            }
            Stream::Syslog { node, socket, gone } => {
                if let (Some(log), Ok(socket)) = (log(node), datagrams(socket)) {
                    tokio::task::spawn_local(async move {
                        tokio::select! {
                            () = syslog(log, socket) => {}
                            _ = gone => {}
                        }
                    });
                }
            }
        }
    }
}

fn datagrams(socket: OwnedFd) -> std::io::Result<tokio::net::UnixDatagram> {
    let socket = UnixDatagram::from(socket);
    socket.set_nonblocking(true)?;
    tokio::net::UnixDatagram::from_std(socket)
}

async fn syslog(log: Log, socket: tokio::net::UnixDatagram) {
    let mut buffer = vec![0u8; LINE];
    let mut budget = Budget::new();
    while let Ok(size) = socket.recv(&mut buffer).await {
        let (process, text) = logs::parse_syslog(&buffer[..size]);
        log.lines(&process, text.split('\n').map(str::as_bytes));
        budget.spend(size, 1).await;
    }
}

/// What a stream may still bring.
struct Budget {
    /// Below zero is owed.
    left: i64,
    at: Instant,
}

impl Budget {
    fn new() -> Budget {
        Budget {
            left: BURST.cast_signed(),
            at: Instant::now(),
        }
    }

    /// Takes off what was read, and waits until there is something left. Others have their turn in between.
    async fn spend(&mut self, bytes: usize, lines: usize) {
        let cost = bytes as u64 + lines as u64 * LINE_COST;
        let now = Instant::now();
        let gained = (now - self.at).as_micros().saturating_mul(u128::from(RATE)) / 1_000_000;
        self.at = now;
        let gained = u64::try_from(gained).unwrap_or(BURST).min(BURST);
        self.left = (self.left + gained.cast_signed()).min(BURST.cast_signed()) - cost.cast_signed();
        match u64::try_from(-self.left) {
            Ok(owed @ 1..) => tokio::time::sleep(Duration::from_micros(owed * 1_000_000 / RATE)).await,
            _ => tokio::task::yield_now().await,
        }
    }
}

/// Reads a pipe to the log, keeping the end of it where somebody wants that.
struct Pump {
    name: String,
    kept: Option<Kept>,
    /// A line that has no end yet.
    line: Vec<u8>,
}

impl Pump {
    /// Reads until nobody can write any more. Tells `drained` when the command has ended and all it wrote
    /// until then was read.
    async fn run(
        mut self,
        log: Log,
        mut reader: pipe::Receiver,
        has_ended: oneshot::Receiver<()>,
        drained: oneshot::Sender<()>,
    ) {
        use tokio::io::AsyncReadExt as _;
        let mut buffer = vec![0u8; TURN];
        let mut budget = Budget::new();
        let mut waiting = Some((has_ended, drained));
        loop {
            let size = match &mut waiting {
                None => reader.read(&mut buffer).await,
                Some((has_ended, _)) => tokio::select! {
                    biased;
                    size = reader.read(&mut buffer) => size,
                    _ = has_ended => {
                        self.drain(&log, &reader, &mut buffer);
                        if let Some((_, drained)) = waiting.take() {
                            let _ = drained.send(());
                        }
                        continue;
                    }
                },
            };
            match size {
                Ok(size) if size > 0 => {
                    let lines = self.take(&log, &buffer[..size]);
                    let spending = budget.spend(size, lines);
                    match &mut waiting {
                        None => spending.await,
                        // Who waits for a command that has ended does not wait for its budget, too.
                        Some((has_ended, _)) => tokio::select! {
                            biased;
                            () = spending => {}
                            _ = has_ended => {
                                self.drain(&log, &reader, &mut buffer);
                                if let Some((_, drained)) = waiting.take() {
                                    let _ = drained.send(());
                                }
                            }
                        },
                    }
                }
                _ => break,
            }
        }
        if !self.line.is_empty() {
            log.lines(&self.name, [self.line.as_slice()]);
        }
        if let Some((_, drained)) = waiting.take() {
            let _ = drained.send(());
        }
    }

    /// Reads what the pipe holds: what was written before the end is in it. Others may go on writing. The kernel is asked, not
    /// tokio, which knows nothing yet of a pipe that it has not waited for.
    fn drain(&mut self, log: &Log, reader: &pipe::Receiver, buffer: &mut [u8]) {
        let mut total = 0;
        while total <= PIPE
            && let Ok(size @ 1..) = nix::unistd::read(reader, buffer)
        {
            self.take(log, &buffer[..size]);
            total += size;
        }
    }

    /// Writes the lines that are complete. Returns how many.
    fn take(&mut self, log: &Log, bytes: &[u8]) -> usize {
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT)..]);
            let surplus = kept.len().saturating_sub(KEPT);
            kept.drain(..surplus);
        }
        let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let rest = lines.pop().unwrap_or_default();
        let mut first = std::mem::take(&mut self.line);
        let mut count = 0;
        if let Some((head, others)) = lines.split_first() {
            first.extend_from_slice(head);
            let all = pieces(&first).chain(others.iter().flat_map(|line| pieces(line)));
            let all = all.inspect(|_| count += 1);
            log.lines(&self.name, all);
            first.clear();
        }
        first.extend_from_slice(rest);
        while first.len() > LINE {
            log.lines(&self.name, [&first[..LINE]]);
            first.drain(..LINE);
            count += 1;
        }
        self.line = first;
        count
    }
}

/// A line in pieces that are short enough; an empty one is one.
fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.chunks(LINE).chain(line.is_empty().then_some(&[][..]))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write as _};

    use super::*;

    #[test]
    fn what_a_command_has_written_is_kept_though_it_ended_before_anybody_looked() {
        let directory = tempfile::tempdir().unwrap();
        let writer = LogWriter::new(directory.path().join("log"), None);
        let log = Log {
            node: 0,
            writer: Rc::new(RefCell::new(writer)),
            ear: None,
        };
        // It stays open: a daemon that the command left behind has it.
        let (reader, mut left_behind) = io::pipe().unwrap();
        left_behind.write_all(b"last words\n").unwrap();
        let kept = Kept::default();
        let pump = Pump {
            name: "c".to_owned(),
            kept: Some(Arc::clone(&kept)),
            line: Vec::new(),
        };
        let (ended, has_ended) = oneshot::channel();
        let (drained, is_drained) = oneshot::channel();
        ended.send(()).unwrap();
        let runtime = event_loop::start().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let reader = pipe::Receiver::from_owned_fd(reader.into()).unwrap();
            tokio::task::spawn_local(pump.run(log, reader, has_ended, drained));
            is_drained.await.unwrap();
        });
        assert_eq!(*kept.lock().unwrap(), b"last words\n");
    }
}

//! Where a capture goes: a file or a stream, written by a thread of its own, with a bound to what waits for it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::capture::pcapng;
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;

/// So many bytes may wait to be written before nothing more is read.
const MOST_WAITING: usize = 8 << 20;
/// Who takes nothing for so long at the end gets no more.
const PATIENCE: Duration = Duration::from_secs(2);

/// An output.
pub struct Output {
    chunks: Sender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
    /// A byte for each chunk that was written, and the end where one was not.
    wake: UnixStream,
    outcome: Receiver<io::Error>,
}

/// How it ended.
#[derive(Debug)]
pub enum Written {
    /// All of it was written.
    All,
    /// Who reads it took nothing any more: so many bytes are missing.
    NotAll(usize),
    /// It cannot be written.
    Failed(io::Error),
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Output {
    /// One to a file or a stream. Where a file of blocks (pcapng) cannot be written to its end, it is cut off behind the last whole
    /// block.
    ///
    /// # Errors
    /// No more threads or descriptors may be had.
    pub fn to(file: File, has_blocks: bool) -> Result<Output, Failure> {
        let (chunks, coming) = channel();
        let (tell, outcome) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (wake, waker) = UnixStream::pair().attempt(|| "make a socket pair")?;
        for end in [&wake, &waker] {
            end.set_nonblocking(true).attempt(|| "set up a socket")?;
        }
        let writer = Writer {
            file,
            has_blocks,
            length: 0,
            waiting: Arc::clone(&waiting),
            waker,
        };
        // Beyond a limit of size (ulimit -f) it is an error, and not the end of the process.
        crate::kernel::signals::outlive_limits_of_size()?;
        let thread = thread::Builder::new().name("output".to_owned());
        thread
            .spawn(move || {
                if let Err(error) = writer.write_all(&coming) {
                    let _ = tell.send(error);
                }
            })
            .attempt(|| "start a thread")?;
        Ok(Output {
            chunks,
            waiting,
            wake,
            outcome,
        })
    }

    /// Hands on what is to be written whole.
    pub fn write(&self, chunk: Vec<u8>) {
        self.waiting.fetch_add(chunk.len(), Ordering::Relaxed);
        // Should the thread have ended, that is seen by its error.
        let _ = self.chunks.send(chunk);
    }

    /// Whether more may be handed on.
    pub fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < MOST_WAITING
    }

    /// Takes note of what has been written. Returns the error that ended it, should there be one.
    pub fn look(&self) -> Option<io::Error> {
        let mut buffer = [0; 256];
        while matches!((&self.wake).read(&mut buffer), Ok(1..)) {}
        self.outcome.try_recv().ok()
    }

    /// Waits until all is written, or who reads it takes no more, or `ends` says so.
    pub fn finish(self, ends: BorrowedFd<'_>) -> Written {
        let Output {
            chunks,
            waiting,
            wake,
            outcome,
        } = self;
        drop(chunks);
        let mut before = (waiting.load(Ordering::Relaxed), Instant::now());
        loop {
            match outcome.recv_timeout(Duration::ZERO) {
                Ok(error) => return Written::Failed(error),
                // The thread has ended, and without an error.
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Written::All,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            }
            let left = waiting.load(Ordering::Relaxed);
            if left != before.0 {
                before = (left, Instant::now());
            }
            let mut fds = [
                PollFd::new(wake.as_fd(), PollFlags::POLLIN),
                PollFd::new(ends, PollFlags::POLLIN),
            ];
            let _ = poll(&mut fds, PollTimeout::from(100u8));
            let is_ended = fds[1].any().unwrap_or(false);
            if is_ended || before.1.elapsed() >= PATIENCE {
                return Written::NotAll(left);
            }
            let _ = (&wake).read(&mut [0; 256]);
        }
    }
}

/// What the thread has.
struct Writer {
    file: File,
    has_blocks: bool,
    /// How many bytes were written, up to the last whole block.
    length: u64,
    waiting: Arc<AtomicUsize>,
    waker: UnixStream,
}

impl Writer {
    fn write_all(mut self, chunks: &Receiver<Vec<u8>>) -> io::Result<()> {
        for chunk in chunks {
            let mut done = 0;
            while done < chunk.len() {
                match self.file.write(&chunk[done..]) {
                    Ok(0) => return Err(self.cut_off(&chunk, done, io::ErrorKind::WriteZero.into())),
                    Ok(count) => {
                        done += count;
                        self.waiting.fetch_sub(count, Ordering::Relaxed);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(self.cut_off(&chunk, done, error)),
                }
            }
            self.length += chunk.len() as u64;
            let _ = (&self.waker).write(&[0]);
        }
        Ok(())
    }

    /// Leaves whole blocks alone in the file.
    fn cut_off(&self, chunk: &[u8], done: usize, error: io::Error) -> io::Error {
        let is_file = self.file.metadata().is_ok_and(|found| found.is_file());
        if self.has_blocks && is_file {
            let whole = pcapng::whole(&chunk[..done]) as u64;
            let _ = self.file.set_len(self.length + whole);
        }
        error
    }
}

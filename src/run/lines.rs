//! Lines from a process in a node, which may send what it likes: none is longer than a limit, and one that has begun ends soon.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::time::{Instant, timeout_at};

/// Reads lines.
pub struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    /// When the line that has begun has to be there.
    deadline: Option<Instant>,
    longest: usize,
    patience: Duration,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Of no more than `longest` bytes each, which arrive within `patience` of their first.
    pub fn new(reader: R, longest: usize, patience: Duration) -> Lines<R> {
        Lines {
            reader: BufReader::new(reader),
            line: Vec::new(),
            deadline: None,
            longest,
            patience,
        }
    }

    /// The next line without its end; none once there are no more. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// A line is too long (`FileTooLarge`) or too late (`TimedOut`), or the connection is broken. There is no going on then.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let bytes = match self.deadline {
                Some(deadline) => timeout_at(deadline, self.reader.fill_buf()).await??,
                None => self.reader.fill_buf().await?,
            };
            if bytes.is_empty() {
                return Ok(None);
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + part.len() > self.longest {
                return Err(ErrorKind::FileTooLarge.into());
            }
            self.line.extend_from_slice(part);
            let taken = part.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if end.is_some() {
                self.deadline = None;
                return Ok(Some(std::mem::take(&mut self.line)));
            }
            self.deadline
                .get_or_insert_with(|| Instant::now() + self.patience);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::event_loop;
    use tokio::io::AsyncWriteExt as _;

    const SOON: Duration = Duration::from_millis(50);

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = event_loop::start();
        runtime.unwrap().block_on(work)
    }

    #[test]
    fn lines_are_told_apart() {
        run(async {
            let mut lines = Lines::new(&b"one\n\n12345\nrest"[..], 5, SOON);
            for line in ["one", "", "12345"] {
                assert_eq!(lines.next().await.unwrap().unwrap(), line.as_bytes());
            }
            assert_eq!(lines.next().await.unwrap(), None);
        });
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        run(async {
            let endless = tokio::io::repeat(b'x');
            let mut lines = Lines::new(endless, 1 << 20, SOON);
            assert_eq!(lines.next().await.unwrap_err().kind(), ErrorKind::FileTooLarge);
            assert!(lines.line.capacity() <= 4 << 20);
            let mut lines = Lines::new(&b"123456\n"[..], 5, SOON);
            assert_eq!(lines.next().await.unwrap_err().kind(), ErrorKind::FileTooLarge);
        });
    }

    #[test]
    fn a_line_that_has_begun_is_not_waited_for_long() {
        run(async {
            let (mut writer, reader) = tokio::io::duplex(64);
            let mut lines = Lines::new(reader, 64, SOON);
            // None at all may be waited for: whoever waits says how long.
            assert!(tokio::time::timeout(SOON * 2, lines.next()).await.is_err());
            writer.write_all(b"whole\nbeg").await.unwrap();
            assert_eq!(lines.next().await.unwrap().unwrap(), b"whole");
            assert_eq!(lines.next().await.unwrap_err().kind(), ErrorKind::TimedOut);
        });
    }

    #[test]
    fn waiting_may_be_given_up_within_a_line() {
        run(async {
            let (mut writer, reader) = tokio::io::duplex(64);
            let mut lines = Lines::new(reader, 64, Duration::from_secs(60));
            writer.write_all(b"two ").await.unwrap();
            assert!(tokio::time::timeout(SOON, lines.next()).await.is_err());
            writer.write_all(b"halves\n").await.unwrap();
            assert_eq!(lines.next().await.unwrap().unwrap(), b"two halves");
        });
    }
}

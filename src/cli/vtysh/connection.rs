//! A session of the speaker's: requests out, answers in, a line each.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::bgp::terminal::{Answer, Request};

/// A session.
pub struct Connection {
    stream: BufReader<UnixStream>,
}

impl Connection {
    /// Begins one.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(path: &Path) -> io::Result<Connection> {
        let stream = UnixStream::connect(path)?;
        Ok(Connection {
            stream: BufReader::new(stream),
        })
    }

    /// Asks, and waits for the answer. Of a long one all pieces but the last are printed as they come.
    ///
    /// # Errors
    /// The speaker has gone, or nobody reads.
    pub fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        let gone = |_| io::Error::other("the speaker has ended");
        self.stream
            .get_mut()
            .write_all(request.encode().as_bytes())
            .map_err(gone)?;
        loop {
            let answer = self.answer()?;
            if !answer.more {
                return Ok(answer);
            }
            super::say(&answer.output)?;
        }
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let gone = |_| io::Error::other("the speaker has ended");
        let mut line = String::new();
        if self.stream.read_line(&mut line).map_err(gone)? == 0 {
            return Err(io::Error::other("the speaker has ended"));
        }
        Answer::decode(&line).ok_or_else(|| io::Error::other("the speaker is not of this nslab's version"))
    }
}

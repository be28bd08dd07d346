//! vtysh's sessions: a Unix socket, a session a connection, lines both ways.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::process::HostEvent;
use crate::bgp::terminal::{Answer, Rest, Terminal};
use crate::engine::socket::listen;
use crate::kernel::Result;

/// Longest line that is taken.
const LONGEST_LINE: u64 = 64 * 1024;
/// So many lines may wait for the answer to another.
const WAITING: usize = 16;
/// What a line is read into at once.
const ROOM: usize = 1024;

/// The sessions.
pub struct Sessions {
    host_events: Sender<HostEvent>,
    open: BTreeMap<u64, Session>,
    last: u64,
    plays_bgp: bool,
}

/// A session.
pub struct Session {
    /// Where it is.
    pub terminal: Terminal,
    /// The rest of an answer that vtysh has not taken yet.
    pub rest: Option<Rest>,
    /// Lines that came meanwhile.
    pub waiting: VecDeque<String>,
    answers: UnboundedSender<Answer>,
}

impl Sessions {
    /// Takes sessions on a socket that only root may use. It is there once it answers.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn begin(path: &Path, host_events: Sender<HostEvent>, plays_bgp: bool) -> Result<Sessions> {
        let listener = Rc::new(listen(path)?);
        tokio::task::spawn_local(accept_all(listener, host_events.clone()));
        Ok(Sessions {
            host_events,
            open: BTreeMap::new(),
            last: 0,
            plays_bgp,
        })
    }

    /// Begins a session.
    pub fn accept(&mut self, stream: UnixStream) {
        self.last += 1;
        let (reading, writing) = stream.into_split();
        let (answers, written) = unbounded_channel();
        let host_events = self.host_events.clone();
        tokio::task::spawn_local(answer_all(self.last, writing, written, host_events));
        tokio::task::spawn_local(read_all(self.last, reading, self.host_events.clone()));
        let terminal = match self.plays_bgp {
            true => Terminal::default(),
            false => Terminal::without_bgp(),
        };
        let session = Session {
            terminal,
            rest: None,
            waiting: VecDeque::new(),
            answers,
        };
        self.open.insert(self.last, session);
    }

    /// A session that is not over.
    pub fn get(&mut self, id: u64) -> Option<&mut Session> {
        self.open.get_mut(&id)
    }

    /// Ends a session, once all its answers are written.
    pub fn end(&mut self, id: u64) {
        self.open.remove(&id);
    }
}

impl Session {
    /// Answers. It is told when vtysh has taken one of which more follows.
    pub fn answer(&self, answer: Answer) {
        // Somebody who has hung up wants no answer.
        let _ = self.answers.send(answer);
    }

    /// A line comes before the answer to another is whole. Returns whether there is room for it.
    pub fn wait(&mut self, line: String) -> bool {
        let has_room = self.waiting.len() < WAITING;
        if has_room {
            self.waiting.push_back(line);
        }
        has_room
    }
}

async fn accept_all(listener: Rc<UnixListener>, host_events: Sender<HostEvent>) {
    while let Ok((stream, _)) = listener.accept().await {
        if host_events.send(HostEvent::SessionBegan(stream)).await.is_err() {
            return;
        }
    }
}

async fn read_all(id: u64, stream: OwnedReadHalf, host_events: Sender<HostEvent>) {
    let mut reader = BufReader::with_capacity(ROOM, stream);
    while let Ok(Some(line)) = read_line(&mut reader).await {
        if host_events.send(HostEvent::SessionLine(id, line)).await.is_err() {
            return;
        }
    }
    let _ = host_events.send(HostEvent::SessionEnded(id)).await;
}

/// The next whole line, without its end.
async fn read_line(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<String>> {
    let mut octets = Vec::new();
    reader.take(LONGEST_LINE).read_until(b'\n', &mut octets).await?;
    if octets.pop() != Some(b'\n') {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&octets).into_owned()))
}

async fn answer_all(
    id: u64,
    mut stream: OwnedWriteHalf,
    mut answers: UnboundedReceiver<Answer>,
    host_events: Sender<HostEvent>,
) {
    while let Some(answer) = answers.recv().await {
        if stream.write_all(answer.encode().as_bytes()).await.is_err() {
            return;
        }
        if answer.more && host_events.send(HostEvent::SessionTook(id)).await.is_err() {
            return;
        }
    }
}

//! The lab's events, as they come, and that it is over.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::run::client::Client;
use crate::run::directory::LabDirectory;
use crate::run::events::Event;
use crate::run::protocol::{Reply, Request};

/// So many events wait to be taken; more make the supervisor wait for this reader alone.
const WAITING: usize = 1024;

/// What a lab's supervisor tells.
pub struct Happenings {
    client: Client,
    first: Option<Event>,
}

/// Asks a lab for its events.
///
/// # Errors
/// The lab has gone, or does not answer.
pub fn connect(lab: &LabDirectory) -> Result<Happenings, Failure> {
    let mut client = Client::connect(lab)?;
    let (reply, _) = client.ask(&Request::Events { follow: true })?;
    let first = match reply {
        Reply::Event(event) => Some(event),
        _ => None,
    };
    Ok(Happenings { client, first })
}

/// Events that come.
pub struct Coming {
    events: Receiver<Option<Event>>,
    wake: UnixStream,
}

impl AsFd for Coming {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// What has come.
pub enum News {
    /// Something happened.
    Event(Event),
    /// The lab is over.
    Over,
}

impl Happenings {
    /// The PID of the lab's supervisor.
    pub fn supervisor(&self) -> i32 {
        self.client.supervisor()
    }

    /// Listens in a thread of its own, to events from a time on.
    ///
    /// # Errors
    /// No more threads or descriptors may be had.
    pub fn listen(self, since: f64) -> Result<Coming, Failure> {
        let (tell, events) = sync_channel(WAITING);
        let (wake, waker) = UnixStream::pair().attempt(|| "make a socket pair")?;
        for end in [&wake, &waker] {
            end.set_nonblocking(true).attempt(|| "set up a socket")?;
        }
        let thread = thread::Builder::new().name("events".to_owned());
        thread
            .spawn(move || self.pass_on(since, &tell, &waker))
            .attempt(|| "start a thread")?;
        Ok(Coming { events, wake })
    }

    fn pass_on(mut self, since: f64, tell: &SyncSender<Option<Event>>, mut waker: &UnixStream) {
        let mut next = self.first.take();
        loop {
            if let Some(event) = next.filter(|event| event.time >= since)
                && tell.send(Some(event)).is_err()
            {
                return;
            }
            // A full pipe is awake already.
            let _ = waker.write(&[0]);
            next = match self.client.next_reply() {
                Ok(Some((Reply::Event(event), _))) => Some(event),
                Ok(Some(_)) => None,
                // A supervisor that does not answer for that long tells no events; its packets still pass.
                Ok(None) | Err(_) => break,
            };
        }
        let _ = tell.send(None);
        let _ = waker.write(&[0]);
    }
}

impl Coming {
    /// What has come since this was asked last.
    pub fn take(&self) -> impl Iterator<Item = News> {
        let mut buffer = [0; 256];
        while matches!((&self.wake).read(&mut buffer), Ok(1..)) {}
        self.events
            .try_iter()
            .map(|event| event.map_or(News::Over, News::Event))
    }
}

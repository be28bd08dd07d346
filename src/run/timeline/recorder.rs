//! What records a timeline: the book of a lab's changes, and who writes into it. The thread that hears the kernel is
//! [`super::listener`]'s.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::listener::Thread;
use crate::failure::Failure;
use crate::kernel::announcements::monotonic;
use crate::kernel::error::Attempt;
use crate::kernel::namespace::Namespace;
use crate::timeline::entry::Said;
use crate::timeline::session;
use crate::timeline::store::Store;

/// What is kept where nothing is said, in octets.
pub const USUAL: u64 = 32 << 20;
/// Why a network is not heard that will be.
const LATER: &str = "it is heard once the lab has come to rest";

/// What is kept, and of whom nothing is.
pub struct Book {
    /// The entries.
    pub store: Store,
    /// Networks that are not heard, by their numbers, with the reason.
    pub unheard: HashMap<u32, String>,
}

/// The book of a lab, which the thread and the supervisor share.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Book>>);

impl Shared {
    /// The book, for a moment.
    pub fn open(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a lab's timeline.
pub struct Recorder {
    /// What is kept.
    pub book: Shared,
    /// What nodes are called: the lab, its networks, its nodes.
    pub names: Vec<String>,
    networks: usize,
    networks_to_hear: Sender<(u32, OwnedFd)>,
    waker: Arc<EventFd>,
    /// Networks that are to be heard later.
    later: RefCell<Vec<usize>>,
}

/// Hears lines of logs.
#[derive(Clone)]
pub struct Ear {
    book: Shared,
    first: u32,
}

impl Ear {
    /// Takes a line of a node's log, if it tells of a session.
    pub fn line(&self, node: usize, line: &[u8]) {
        if let Some(kept) = session::kept(line) {
            let time = monotonic();
            let number = self.first + node as u32;
            self.book.open().store.put(number, Said::Session, 0, time, kept);
        }
    }
}

impl Recorder {
    /// Begins to record in so many octets. The networks are called as their owners, the nodes by their own names.
    ///
    /// # Errors
    /// No thread can be started, or no descriptors are left.
    pub fn start(networks: Vec<String>, nodes: Vec<String>, most: usize) -> Result<Recorder, Failure> {
        let what = || "start the thread that records the timeline";
        let count = networks.len();
        let names: Vec<String> = [String::new()].into_iter().chain(networks).chain(nodes).collect();
        let book = Shared(Arc::new(Mutex::new(Book {
            store: Store::new(names.len(), most),
            unheard: HashMap::new(),
        })));
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let waker = Arc::new(EventFd::from_flags(flags).attempt(what)?);
        let (sender, receiver) = channel();
        let thread = Thread::new(book.clone(), Arc::clone(&waker), receiver).attempt(what)?;
        let builder = thread::Builder::new().name("nslab-timeline".to_owned());
        // It ends with the process.
        builder.spawn(move || thread.run()).attempt(what)?;
        Ok(Recorder {
            book,
            names,
            networks: count,
            networks_to_hear: sender,
            waker,
            later: RefCell::default(),
        })
    }

    /// Hears a network from now on, in the place of what was heard under its number.
    pub fn hear(&self, network: usize, namespace: &Namespace) {
        let Ok(namespace) = namespace.as_fd().try_clone_to_owned() else {
            let reason = "there are no descriptors left (see ulimit -n)".to_owned();
            self.book.open().unheard.insert(1 + network as u32, reason);
            return;
        };
        // The thread lives as long as this value.
        let _ = self.networks_to_hear.send((1 + network as u32, namespace));
        let _ = self.waker.write(1);
    }

    /// Has networks heard later.
    pub fn hear_later(&self, networks: Vec<usize>) {
        let mut book = self.book.open();
        let numbers = networks.iter().map(|at| 1 + *at as u32);
        book.unheard
            .extend(numbers.map(|number| (number, LATER.to_owned())));
        self.later.replace(networks);
    }

    /// So many of the networks at most that are to be heard later, which somebody has heard now.
    pub fn take_later(&self, most: usize) -> Vec<usize> {
        let mut later = self.later.borrow_mut();
        let rest = later.len().saturating_sub(most);
        later.split_off(rest)
    }

    /// Whether some network is not heard that will be.
    pub fn waits(&self) -> bool {
        self.book.open().unheard.values().any(|reason| reason == LATER)
    }

    /// What hears the lines of nodes' logs.
    pub fn ear(&self) -> Ear {
        Ear {
            book: self.book.clone(),
            first: self.first_node(),
        }
    }

    /// Says something of a node: a word, and a sentence.
    pub fn told(&self, node: usize, change: &str, text: &str) {
        let body = format!("{change}\n{text}");
        let number = self.first_node() + node as u32;
        let time = monotonic();
        self.book
            .open()
            .store
            .put(number, Said::Told, 0, time, body.as_bytes());
    }

    /// Marks this time, and returns it.
    pub fn mark(&self, name: &str) -> u64 {
        let time = monotonic();
        self.book
            .open()
            .store
            .put(0, Said::Mark, 0, time, name.as_bytes());
        time
    }

    fn first_node(&self) -> u32 {
        1 + self.networks as u32
    }
}

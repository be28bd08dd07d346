//! What records a timeline: a thread of the supervisor's that hears the kernel of every node's network. It reads, trims and
//! keeps; nothing is understood here. What a node can make it do has a bound.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::failure::Failure;
use crate::kernel;
use crate::kernel::announcements::{Announcements, Room, monotonic};
use crate::kernel::error::Attempt;
use crate::kernel::namespace::Namespace;
use crate::timeline::entry::{FOUND, Said};
use crate::timeline::session;
use crate::timeline::store::Store;
use crate::timeline::trim::{self, Subject};

/// What is kept where nothing is said, in octets.
pub const USUAL: u64 = 32 << 20;
/// How many announcements a node may make at once, and a second after that. Of one that makes more, some are not heard.
const BURST: f64 = 100_000.0;
const RATE: f64 = 10_000.0;
/// How many batches of a node are read before others have their turn.
const TURN: usize = 16;
/// After as many messages there is a pause, so that one waking serves many.
const MANY: usize = 16;
const PAUSE: Duration = Duration::from_millis(1);
/// After announcements were lost, a network is looked at so much later, and no more often than that.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: Duration = Duration::from_secs(5);
/// Of so many interfaces it is remembered what was said last.
const REMEMBERED: usize = 100_000;
/// The epoll data of what wakes the thread.
const WAKER: u64 = u64::MAX;

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
        let thread = Thread {
            book: book.clone(),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).attempt(what)?,
            waker: Arc::clone(&waker),
            wanted: receiver,
            heard: HashMap::new(),
            said: HashMap::new(),
            has_dues: false,
            room: Room::default(),
            scratch: Vec::new(),
        };
        let wakes = EpollEvent::new(EpollFlags::EPOLLIN, WAKER);
        thread.epoll.add(&*waker, wakes).attempt(what)?;
        let builder = thread::Builder::new().name("nslab-timeline".to_owned());
        // It ends with the process.
        builder.spawn(move || thread.run()).attempt(what)?;
        Ok(Recorder {
            book,
            names,
            networks: count,
            networks_to_hear: sender,
            waker,
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

/// A network that is heard.
struct Network {
    announcements: Announcements,
    /// Announcements it may still make.
    left: f64,
    counted: Instant,
    /// It is not read before this time.
    rests: Option<Instant>,
    /// How many it had lost when that was told last.
    lost: u64,
    has_lost: bool,
    /// When it is to be looked at.
    look: Option<Instant>,
    looked: Instant,
}

struct Thread {
    book: Shared,
    epoll: Epoll,
    waker: Arc<EventFd>,
    wanted: Receiver<(u32, OwnedFd)>,
    heard: HashMap<u32, Network>,
    /// What was said last of each interface, as a hash: the kernel repeats itself.
    said: HashMap<(u32, u32), u64>,
    /// Whether something is to be done at a time.
    has_dues: bool,
    room: Room,
    scratch: Vec<u8>,
}

impl Thread {
    fn run(mut self) {
        let home = Namespace::current();
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let count = match self.epoll.wait(&mut events, self.until_next()) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(_) => return,
            };
            let mut messages = 0;
            let mut has_more = false;
            // In the order in which they became readable.
            for event in &events[..count] {
                match event.data() {
                    WAKER => self.take_in(),
                    number => {
                        let (read, more) = self.read(number as u32);
                        messages += read;
                        has_more |= more;
                    }
                }
            }
            self.do_what_is_due();
            if let Ok(home) = &home {
                // Not to keep a network alive by standing in it.
                let _ = home.enter();
            }
            if messages >= MANY && !has_more {
                thread::sleep(PAUSE);
            }
        }
    }

    /// How long nothing is to be done unless something comes.
    fn until_next(&self) -> EpollTimeout {
        if !self.has_dues {
            return EpollTimeout::NONE;
        }
        let dues = self
            .heard
            .values()
            .flat_map(|it| it.rests.into_iter().chain(it.look));
        let Some(next) = dues.min() else {
            return EpollTimeout::NONE;
        };
        let wait = next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX)
    }

    /// Begins to hear what is wanted.
    fn take_in(&mut self) {
        let _ = self.waker.read();
        while let Ok((number, namespace)) = self.wanted.try_recv() {
            self.heard.remove(&number);
            self.said.retain(|(node, _), _| *node != number);
            let begun = self.begin(number, &namespace);
            let mut book = self.book.open();
            match begun {
                Ok(()) => _ = book.unheard.remove(&number),
                Err(error) => _ = book.unheard.insert(number, error.to_string()),
            }
        }
    }

    fn begin(&mut self, number: u32, namespace: &OwnedFd) -> kernel::Result<()> {
        // In this order: what changes in between is announced.
        let announcements = Announcements::open(namespace.as_fd())?;
        let readable = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(number));
        let added = self.epoll.add(&announcements, readable);
        added.attempt(|| "listen to the kernel's network events")?;
        let network = Network {
            announcements,
            left: BURST,
            counted: Instant::now(),
            rests: None,
            lost: 0,
            has_lost: false,
            look: None,
            looked: Instant::now(),
        };
        self.heard.insert(number, network);
        self.look(number)
    }

    /// Tells all there is in a network.
    fn look(&mut self, number: u32) -> kernel::Result<()> {
        let Some(network) = self.heard.get_mut(&number) else {
            return Ok(());
        };
        network.look = None;
        network.looked = Instant::now();
        let there = network.announcements.there()?;
        let time = monotonic();
        self.said.retain(|(node, _), _| *node != number);
        let mut book = self.book.open();
        book.store.put(number, Said::Look, 0, time, &[]);
        for (kind, body) in &there.messages {
            self.scratch.clear();
            if let Some(subject) = trim::body(*kind, body, &mut self.scratch) {
                book.store.announce(number, FOUND, time, subject, &self.scratch);
            }
        }
        book.store
            .put(number, Said::Looked, 0, time, &[u8::from(there.is_partial)]);
        Ok(())
    }

    /// Reads what a network has announced. Returns how many messages, and whether there are more.
    fn read(&mut self, number: u32) -> (usize, bool) {
        let Some(network) = self.heard.get_mut(&number) else {
            return (0, false);
        };
        let (mut messages, mut has_more) = (0, true);
        for _ in 0..TURN {
            let mut time = 0;
            let (scratch, said) = (&mut self.scratch, &mut self.said);
            let mut book: Option<MutexGuard<'_, Book>> = None;
            let shared = &self.book;
            let reading = network.announcements.read(&mut self.room, |message| {
                if time == 0 {
                    time = monotonic();
                }
                scratch.clear();
                let Some(subject) = trim::announcement(message, scratch) else {
                    return;
                };
                if let Subject::Link(index) = subject
                    && is_said(said, (number, index), scratch)
                {
                    return;
                }
                let book = book.get_or_insert_with(|| shared.open());
                book.store.announce(number, 0, time, subject, scratch);
            });
            drop(book);
            messages += reading.messages;
            network.has_lost |= reading.has_lost;
            has_more = reading.has_more;
            if !has_more {
                break;
            }
        }
        // What was lost came after all that was read.
        if network.has_lost && !has_more {
            network.has_lost = false;
            let lost = network.announcements.lost();
            let more = lost.saturating_sub(std::mem::replace(&mut network.lost, lost));
            let time = monotonic();
            self.book
                .open()
                .store
                .put(number, Said::Gap, 0, time, &more.to_ne_bytes());
            self.said.retain(|(node, _), _| *node != number);
            let soon = Instant::now() + LOOK;
            network.look = Some(soon.max(network.looked + LOOKS));
            self.has_dues = true;
        }
        network.spend(messages);
        if network.rests.is_some() {
            self.has_dues = true;
            let mut none = EpollEvent::new(EpollFlags::empty(), u64::from(number));
            let _ = self.epoll.modify(&network.announcements, &mut none);
            has_more = false;
        }
        (messages, has_more)
    }

    fn do_what_is_due(&mut self) {
        if !self.has_dues {
            return;
        }
        let now = Instant::now();
        let mut looks = Vec::new();
        for (number, network) in &mut self.heard {
            if network.rests.is_some_and(|rests| rests <= now) {
                network.rests = None;
                let mut readable = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(*number));
                let _ = self.epoll.modify(&network.announcements, &mut readable);
            }
            if network.look.is_some_and(|look| look <= now) {
                looks.push(*number);
            }
        }
        for number in looks {
            // What cannot be looked at now is when announcements are lost again.
            let _ = self.look(number);
        }
        let mut all = self.heard.values();
        self.has_dues = all.any(|it| it.rests.is_some() || it.look.is_some());
    }
}

impl Network {
    /// Takes off what was read. One that has nothing left rests.
    fn spend(&mut self, messages: usize) {
        let now = Instant::now();
        let gained = (now - self.counted).as_secs_f64() * RATE;
        self.counted = now;
        self.left = (self.left + gained).min(BURST) - messages as f64;
        if self.left < 0.0 {
            // Some are read at a time then, as the rest of a look costs as much as they.
            self.rests = Some(now + Duration::from_millis(100) + Duration::from_secs_f64(-self.left / RATE));
        }
    }
}

/// Whether this was said of an interface last, and remembers it.
fn is_said(said: &mut HashMap<(u32, u32), u64>, key: (u32, u32), what: &[u8]) -> bool {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    let hash = hasher.finish();
    if said.len() >= REMEMBERED {
        said.clear();
    }
    said.insert(key, hash) == Some(hash)
}

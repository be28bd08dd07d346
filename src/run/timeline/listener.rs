//! A thread of the supervisor's that hears the kernel of every node's network. It reads, trims and keeps; nothing is understood
//! here. What a node can make it do has a bound: one that announces too much is heard apart, by a socket of its own that is read
//! no more often than it may announce.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;

use super::heard::{BURST, Network, RATE, hash, is_again, is_said};
use super::recorder::{Book, Shared};
use crate::kernel;
use crate::kernel::announcements::{Announcements, Everywhere, Room, monotonic, there_in};
use crate::kernel::error::Attempt as _;
use crate::kernel::namespace::Namespace;
use crate::timeline::entry::{FOUND, Said};
use crate::timeline::trim::{self, Subject};

/// How many batches of a node are read before others have their turn.
const TURN: usize = 16;
/// After as many messages there is a pause, so that one waking serves many.
const MANY: usize = 16;
const PAUSE: Duration = Duration::from_millis(1);
/// After announcements were lost, a network is looked at so much later, and no more often than that.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: Duration = Duration::from_secs(5);
/// The epoll data of what wakes the thread, and of what hears many networks.
const WAKER: u64 = u64::MAX;
const EVERYWHERE: u64 = u64::MAX - 1;
/// No more messages of a socket that another takes the place of are waited for.
const REST: usize = 100_000;

/// What hears all networks that are not heard apart.
#[derive(Default)]
struct Listener {
    everywhere: Option<Everywhere>,
    /// The networks by the numbers that they have there.
    numbers: HashMap<i32, u32>,
    next: i32,
    lost: u64,
    has_lost: bool,
    /// What was read last of the one before, while this one heard already: how often each, by its hash.
    heard_before: HashMap<u64, u32>,
}

/// The thread that listens.
pub(super) struct Thread {
    book: Shared,
    epoll: Epoll,
    waker: Arc<EventFd>,
    wanted: Receiver<(u32, OwnedFd)>,
    heard: HashMap<u32, Network>,
    listener: Listener,
    /// What was said last of each interface, as a hash: the kernel repeats itself.
    said: HashMap<(u32, u32), u64>,
    /// Whether something is to be done at a time.
    has_dues: bool,
    room: Room,
    scratch: Vec<u8>,
}

impl Thread {
    /// One that is woken for networks that it shall hear from now on.
    pub(super) fn new(
        book: Shared,
        waker: Arc<EventFd>,
        wanted: Receiver<(u32, OwnedFd)>,
    ) -> nix::Result<Thread> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&*waker, EpollEvent::new(EpollFlags::EPOLLIN, WAKER))?;
        Ok(Thread {
            book,
            epoll,
            waker,
            wanted,
            heard: HashMap::new(),
            listener: Listener::default(),
            said: HashMap::new(),
            has_dues: false,
            room: Room::default(),
            scratch: Vec::new(),
        })
    }

    /// Listens until the process ends.
    pub(super) fn run(mut self) {
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
            for event in &events[..count] {
                let (read, more) = match event.data() {
                    WAKER => {
                        self.take_in();
                        (0, false)
                    }
                    EVERYWHERE => self.read_everywhere(None),
                    number => self.read_apart(number as u32),
                };
                messages += read;
                has_more |= more;
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
        let dues = self.heard.values();
        let dues = dues.flat_map(|it| it.rests.into_iter().chain(it.look));
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
            let begun = self.begin(number, namespace);
            let mut book = self.book.open();
            match begun {
                Ok(()) => _ = book.unheard.remove(&number),
                Err(error) => _ = book.unheard.insert(number, error.to_string()),
            }
        }
    }

    /// Begins to hear a network, which may have another before it.
    fn begin(&mut self, number: u32, namespace: OwnedFd) -> kernel::Result<()> {
        self.listener.numbers.retain(|_, it| *it != number);
        let now = Instant::now();
        let mut network = Network {
            namespace,
            apart: None,
            left: BURST,
            counted: now,
            rests: None,
            lost: 0,
            has_lost: false,
            look: None,
            looked: now,
        };
        // In this order: what changes in between is announced.
        if self.admit(&network, number).is_err() {
            network.apart = Some(self.listen_apart(&network, number)?);
        }
        self.heard.insert(number, network);
        self.look(number)
    }

    /// Has a network heard with the others.
    fn admit(&mut self, network: &Network, number: u32) -> kernel::Result<()> {
        let listener = &mut self.listener;
        if listener.everywhere.is_none() {
            let everywhere = Everywhere::open()?;
            let readable = EpollEvent::new(EpollFlags::EPOLLIN, EVERYWHERE);
            let added = self.epoll.add(&everywhere, readable);
            added.attempt(|| "listen to the kernel's network events")?;
            listener.everywhere = Some(everywhere);
        }
        if let Some(everywhere) = &mut listener.everywhere {
            everywhere.admit(network.namespace.as_fd(), listener.next)?;
            listener.numbers.insert(listener.next, number);
            listener.next += 1;
        }
        Ok(())
    }

    fn listen_apart(&self, network: &Network, number: u32) -> kernel::Result<Announcements> {
        let announcements = Announcements::open(network.namespace.as_fd())?;
        let readable = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(number));
        let added = self.epoll.add(&announcements, readable);
        added.attempt(|| "listen to the kernel's network events")?;
        Ok(announcements)
    }

    /// Tells all there is in a network.
    fn look(&mut self, number: u32) -> kernel::Result<()> {
        let Some(network) = self.heard.get_mut(&number) else {
            return Ok(());
        };
        network.look = None;
        network.looked = Instant::now();
        let there = there_in(network.namespace.as_fd())?;
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

    /// Reads what the networks have announced that are not heard apart. Returns how many messages, and whether there are more. What
    /// is read is counted by its hash, where that is wanted.
    fn read_everywhere(&mut self, mut count: Option<&mut HashMap<u64, u32>>) -> (usize, bool) {
        let (mut messages, mut has_more) = (0, true);
        let mut loud = Vec::new();
        for _ in 0..TURN {
            let listener = &mut self.listener;
            let Some(everywhere) = &listener.everywhere else {
                return (0, false);
            };
            let mut time = 0;
            let (scratch, said, heard) = (&mut self.scratch, &mut self.said, &mut self.heard);
            let (numbers, before) = (&listener.numbers, &mut listener.heard_before);
            let mut book: Option<MutexGuard<'_, Book>> = None;
            let shared = &self.book;
            let reading = everywhere.read(&mut self.room, |id, message| {
                let Some((number, network)) = numbers.get(&id).and_then(|it| Some((*it, heard.get_mut(it)?)))
                else {
                    return;
                };
                if time == 0 {
                    time = monotonic();
                }
                if network.apart.is_some() {
                    return;
                }
                if !network.may_say() {
                    loud.push(number);
                }
                if let Some(count) = &mut count {
                    *count.entry(hash(&(number, message))).or_default() += 1;
                } else if !before.is_empty() && is_again(before, hash(&(number, message))) {
                    return;
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
            listener.has_lost |= reading.has_lost;
            has_more = reading.has_more;
            if !has_more {
                break;
            }
        }
        if !has_more && count.is_none() {
            self.listener.heard_before = HashMap::new();
        }
        // What was lost came after all that was read.
        if self.listener.has_lost && !has_more {
            self.tell_lost_everywhere();
        }
        loud.sort_unstable();
        loud.dedup();
        if count.is_none() && !loud.is_empty() {
            self.set_apart(&loud);
        }
        (messages, has_more)
    }

    /// Announcements of any of many networks were lost.
    fn tell_lost_everywhere(&mut self) {
        let listener = &mut self.listener;
        listener.has_lost = false;
        let lost = listener.everywhere.as_ref().map_or(0, Everywhere::lost);
        let more = lost.saturating_sub(std::mem::replace(&mut listener.lost, lost));
        let numbers: Vec<u32> = listener.numbers.values().copied().collect();
        for number in numbers {
            self.tell_lost(number, more);
        }
    }

    /// Has networks that say too much heard by sockets of their own, and all others by a new one, which does not hear those.
    fn set_apart(&mut self, loud: &[u32]) {
        for number in loud {
            let Some(mut network) = self.heard.remove(number) else {
                continue;
            };
            network.apart = self.listen_apart(&network, *number).ok();
            if network.apart.is_none() {
                let reason = "it announced too much, and there was no socket for it alone".to_owned();
                self.book.open().unheard.insert(*number, reason);
            }
            self.listener.numbers.retain(|_, it| it != number);
            self.heard.insert(*number, network);
            self.tell_lost(*number, 0);
        }
        // What the old one has is read before and while the new one begins: then nothing is missed, and what both have is known.
        self.drain(None);
        let old = std::mem::take(&mut self.listener);
        let others: Vec<u32> = old.numbers.values().copied().collect();
        let mut refused = Vec::new();
        for number in others {
            let Some(network) = self.heard.remove(&number) else {
                continue;
            };
            if self.admit(&network, number).is_err() {
                refused.push(number);
            }
            self.heard.insert(number, network);
        }
        let new = std::mem::replace(&mut self.listener, old);
        let mut heard_before = HashMap::new();
        self.drain(Some(&mut heard_before));
        self.listener = Listener { heard_before, ..new };
        for number in refused {
            let Some(mut network) = self.heard.remove(&number) else {
                continue;
            };
            network.apart = self.listen_apart(&network, number).ok();
            self.heard.insert(number, network);
            self.tell_lost(number, 0);
        }
    }

    fn drain(&mut self, mut count: Option<&mut HashMap<u64, u32>>) {
        let mut none = HashMap::new();
        let mut messages = 0;
        loop {
            // Counted in any case: then nobody is set apart meanwhile.
            let count = count.as_deref_mut().unwrap_or(&mut none);
            let (read, has_more) = self.read_everywhere(Some(count));
            messages += read;
            if !has_more || messages > REST {
                return;
            }
        }
    }

    /// Reads what a network has announced that is heard apart.
    fn read_apart(&mut self, number: u32) -> (usize, bool) {
        let Some(network) = self.heard.get_mut(&number) else {
            return (0, false);
        };
        let Some(announcements) = network.apart.take() else {
            return (0, false);
        };
        let (mut messages, mut has_more) = (0, true);
        for _ in 0..TURN {
            let mut time = 0;
            let (scratch, said) = (&mut self.scratch, &mut self.said);
            let mut book: Option<MutexGuard<'_, Book>> = None;
            let shared = &self.book;
            let reading = announcements.read(&mut self.room, |message| {
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
        let mut more = None;
        // What was lost came after all that was read.
        if network.has_lost && !has_more {
            network.has_lost = false;
            let lost = announcements.lost();
            more = Some(lost.saturating_sub(std::mem::replace(&mut network.lost, lost)));
        }
        let now = Instant::now();
        network.gain(now);
        network.left -= messages as f64;
        if network.left < 0.0 {
            let rest = Duration::from_secs_f64((-network.left / RATE).min(60.0));
            network.rests = Some(now + LOOK + rest);
            self.has_dues = true;
            let mut none = EpollEvent::new(EpollFlags::empty(), u64::from(number));
            let _ = self.epoll.modify(&announcements, &mut none);
            has_more = false;
        }
        network.apart = Some(announcements);
        if let Some(more) = more {
            self.tell_lost(number, more);
        }
        (messages, has_more)
    }

    /// Says how many announcements were lost, if any, and has the network looked at.
    fn tell_lost(&mut self, number: u32, lost: u64) {
        let Some(network) = self.heard.get_mut(&number) else {
            return;
        };
        if lost > 0 {
            let time = monotonic();
            let mut book = self.book.open();
            book.store.put(number, Said::Gap, 0, time, &lost.to_ne_bytes());
        }
        self.said.retain(|(node, _), _| *node != number);
        network.look = Some((Instant::now() + LOOK).max(network.looked + LOOKS));
        self.has_dues = true;
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
                if let Some(announcements) = &network.apart {
                    let _ = self.epoll.modify(announcements, &mut readable);
                }
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

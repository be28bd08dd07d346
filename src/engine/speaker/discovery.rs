//! Router advertisements: this router makes itself known on links where it looks for neighbors, and hears of them
//! (RFC 4861 section 6.2).

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;

use super::advertisement::Advertisement;
use super::process::HostEvent;
use crate::bgp::config::{Config, PeerName};
use crate::bgp::speaker::Interface;
use crate::kernel::Result;
use crate::kernel::router_discovery::{ALL_NODES, Heard, RouterDiscovery, What};

/// Between two advertisements where neighbors are looked for (FRR's, which is much shorter than RFC 4861's).
const NEIGHBOR_INTERVAL: Duration = Duration::from_secs(10);
/// The same where only hosts are served (RFC 4861 section 6.2.1, MaxRtrAdvInterval).
const INTERVAL: Duration = Duration::from_secs(600);
/// Longest lifetime that may be said (RFC 4861 section 6.2.1).
const LONGEST_LIFETIME: u64 = 9000;

/// How this router makes itself known on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behavior {
    interval: Duration,
    link_layer: Vec<u8>,
    advertisement: Advertisement,
}

struct Link {
    behavior: Behavior,
    next: Instant,
    /// The router that was heard last.
    router: Option<Ipv6Addr>,
    /// Advertisements that were sent and heard.
    counts: (u64, u64),
}

/// The links.
pub struct Discovery {
    socket: Rc<AsyncFd<RouterDiscovery>>,
    links: BTreeMap<u32, Link>,
}

/// The links on which a configuration wants this router to be known, of those that can carry it now.
pub fn wanted(
    config: &Config,
    interfaces: &[Interface],
    link_layer: &BTreeMap<u32, Vec<u8>>,
) -> BTreeMap<u32, Behavior> {
    let neighbors = config.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    let names: Vec<&str> = neighbors
        .filter_map(|neighbor| match &neighbor.name {
            PeerName::Interface(name) => Some(name.as_str()),
            PeerName::Address(_) => None,
        })
        .collect();
    let behavior = |interface: &Interface| {
        let settings = config.interfaces.get(&interface.name);
        let has_neighbor = names.contains(&interface.name.as_str());
        if !has_neighbor && !settings.is_some_and(|it| it.router_advertisements) {
            return None;
        }
        let configured = settings.and_then(|it| it.ra_interval);
        let interval = configured.map_or(
            if has_neighbor { NEIGHBOR_INTERVAL } else { INTERVAL },
            |milliseconds| Duration::from_millis(milliseconds.into()),
        );
        let milliseconds = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let three = (milliseconds * 3 / 1000).clamp(1, LONGEST_LIFETIME) as u16;
        let lifetime = settings.and_then(|it| it.ra_lifetime).unwrap_or(three);
        let link_layer = link_layer.get(&interface.index).cloned().unwrap_or_default();
        let times = (milliseconds.try_into().unwrap_or(u32::MAX), lifetime);
        Some(Behavior {
            interval,
            advertisement: Advertisement::new(interface, settings, times, link_layer.clone()),
            link_layer,
        })
    };
    let carry = interfaces
        .iter()
        .filter(|it| it.up && it.name != "lo" && it.link_local().is_some());
    carry.filter_map(|it| Some((it.index, behavior(it)?))).collect()
}

impl Discovery {
    /// Opens the socket. What is heard is told.
    ///
    /// # Errors
    /// The kernel has no IPv6, or allows no raw sockets.
    pub fn begin(host_events: Sender<HostEvent>) -> Result<Discovery> {
        let socket = Rc::new(RouterDiscovery::open()?.register()?);
        tokio::task::spawn_local(listen(Rc::clone(&socket), host_events));
        Ok(Discovery {
            socket,
            links: BTreeMap::new(),
        })
    }

    /// Makes this router known on these links, and on no others. A link that fell in between begins anew.
    pub fn set(&mut self, wanted: BTreeMap<u32, Behavior>, now: Instant) {
        let gone: Vec<u32> = self
            .links
            .keys()
            .copied()
            .filter(|index| !wanted.contains_key(index))
            .collect();
        for index in gone {
            self.leave(index);
        }
        for (index, behavior) in wanted {
            match self.links.get_mut(&index) {
                Some(link) if link.behavior == behavior => {}
                Some(link) => {
                    link.behavior = behavior;
                    link.next = now;
                }
                None => self.enter(index, behavior, now),
            }
        }
    }

    fn enter(&mut self, index: u32, behavior: Behavior, now: Instant) {
        let socket = self.socket.get_ref();
        // What an interface refuses, having just gone down, is asked of it again when it is up.
        let _ = socket.listen(index, true);
        let _ = socket.solicit(index, &behavior.link_layer);
        let link = Link {
            behavior,
            next: now,
            router: None,
            counts: (0, 0),
        };
        self.links.insert(index, link);
    }

    fn leave(&mut self, index: u32) {
        if let Some(link) = self.links.remove(&index) {
            let socket = self.socket.get_ref();
            let _ = socket.advertise(index, ALL_NODES, &link.behavior.advertisement.farewell());
            let _ = socket.listen(index, false);
        }
    }

    /// This router is to be known no more (RFC 4861 section 6.2.5).
    pub fn end(&mut self) {
        self.set(BTreeMap::new(), Instant::now());
    }

    /// When an advertisement is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.links.values().map(|link| link.next).min()
    }

    /// Sends what is due.
    pub fn tick(&mut self, now: Instant) {
        for (index, link) in self.links.iter_mut().filter(|(_, link)| link.next <= now) {
            let octets = link.behavior.advertisement.octets();
            let _ = self.socket.get_ref().advertise(*index, ALL_NODES, &octets);
            link.next = now + link.behavior.interval;
            link.counts.0 += 1;
        }
    }

    /// Takes note of what was heard, and answers it. Returns a router that made itself known.
    pub fn hear(&mut self, heard: Heard) -> Option<(u32, Ipv6Addr)> {
        let link = self.links.get_mut(&heard.interface)?;
        link.counts.1 += u64::from(heard.what != What::Solicitation);
        let answers = match heard.what {
            What::Solicitation => true,
            // It goes, and is new when it comes back.
            What::Advertisement(0) => {
                link.router = None;
                return None;
            }
            // Whoever has just come need not have heard the last advertisement.
            What::Advertisement(_) => link.router.replace(heard.from) != Some(heard.from),
        };
        if answers {
            let to = if heard.from.is_unspecified() {
                ALL_NODES
            } else {
                heard.from
            };
            link.counts.0 += 1;
            let octets = link.behavior.advertisement.octets();
            let _ = self.socket.get_ref().advertise(heard.interface, to, &octets);
        }
        (heard.what != What::Solicitation).then_some((heard.interface, heard.from))
    }

    /// Advertisements that were sent and heard, by interface.
    pub fn counts(&self) -> BTreeMap<u32, (u64, u64)> {
        let links = self.links.iter();
        links.map(|(index, link)| (*index, link.counts)).collect()
    }

    /// The routers that were heard of and have not gone.
    pub fn routers(&self) -> impl Iterator<Item = (u32, Ipv6Addr)> {
        self.links
            .iter()
            .filter_map(|(index, link)| Some((*index, link.router?)))
    }
}

async fn listen(socket: Rc<AsyncFd<RouterDiscovery>>, host_events: Sender<HostEvent>) {
    while let Ok(mut ready) = socket.readable().await {
        while let Ok(Some(heard)) = socket.get_ref().receive() {
            if host_events.send(HostEvent::Heard(heard)).await.is_err() {
                return;
            }
        }
        ready.clear_ready();
    }
}

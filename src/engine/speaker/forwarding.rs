//! What the speaker has in the kernel's routing table.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::bgp::speaker::{self, Hop};
use crate::kernel::netlink::Netlink;
use crate::kernel::route_change::{self, Change, Owner, Way};
use crate::kernel::{Error, Result, route};

/// What BGP learned. Protocol and metric are FRR's.
pub const BGP: Owner = Owner {
    protocol: 186,
    metric: 20,
};
/// Static routes of the configuration.
pub const STATIC: Owner = Owner {
    protocol: 196,
    metric: 20,
};
/// How many changes wait for each other at most: more would only take room.
const TOGETHER: usize = 4096;
/// Room for the kernel's answers, should every change of a batch fail.
const ROOM: i32 = 1 << 20;

/// The routes.
pub struct Forwarding {
    netlink: Netlink,
    /// Those of the configuration that are in the kernel.
    statics: BTreeMap<IpNet, Way>,
    /// Changes of BGP's that wait to be made together.
    waiting: Vec<Change>,
    /// Routes of BGP's in other tables than the main one.
    elsewhere: BTreeMap<IpNet, u32>,
    /// BGP's routes of a life before this one and their tables, none for the main one, until they are told anew or taken out.
    stale: BTreeSet<(IpNet, Option<u32>)>,
}

impl Forwarding {
    /// Nothing is in the kernel but what an earlier life of this speaker has left there.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn begin() -> Result<Forwarding> {
        let mut netlink = Netlink::open()?;
        netlink.make_room(ROOM)?;
        let mut forwarding = Forwarding {
            netlink,
            statics: BTreeMap::new(),
            waiting: Vec::new(),
            elsewhere: BTreeMap::new(),
            stale: BTreeSet::new(),
        };
        for v4 in [true, false] {
            let left = route::list_where(&mut forwarding.netlink, v4, |table, protocol| {
                protocol == BGP.protocol || (table == libc::RT_TABLE_MAIN && protocol == STATIC.protocol)
            })?;
            for route in left {
                if route.protocol == BGP.protocol {
                    let table = Some(route.table).filter(|table| *table != u32::from(libc::RT_TABLE_MAIN));
                    forwarding.stale.insert((route.to, table));
                } else {
                    // What it leads to does not matter: it differs from what is wanted, and is set anew.
                    forwarding.statics.insert(route.to, Way::Hops(Vec::new()));
                }
            }
        }
        Ok(forwarding)
    }

    /// The number of the socket by which changes are made.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn port(&self) -> Result<u32> {
        self.netlink.port()
    }

    /// Puts a route of BGP's into the kernel with the next [`Forwarding::flush`]; without a way, takes it out.
    pub fn forward(&mut self, to: IpNet, way: Option<&speaker::Way>) {
        let change = change(to, way);
        let before = self.elsewhere.remove(&to);
        if before != change.table {
            self.take_out(to, before);
        }
        if let Some(table) = change.table.filter(|_| change.way.is_some()) {
            self.elsewhere.insert(to, table);
        }
        self.stale.remove(&(to, change.table));
        self.waiting.push(change);
    }

    /// The same of a VRF's route, in a table of its own. Its ways lead over tunnels, to routers that no network there holds.
    pub fn forward_in(&mut self, table: u32, to: IpNet, way: Option<&speaker::Way>) {
        let mut change = Change {
            table: Some(table),
            ..change(to, way)
        };
        if let Some(Way::Hops(hops)) = &mut change.way {
            for hop in hops.iter_mut().filter(|hop| hop.via.is_some()) {
                hop.onlink = true;
            }
        }
        self.stale.remove(&(to, Some(table)));
        self.waiting.push(change);
    }

    /// A route that moves to another table leaves the one it was in; in the main one there may be none.
    fn take_out(&mut self, to: IpNet, table: Option<u32>) {
        self.stale.remove(&(to, table));
        self.waiting.push(Change {
            table,
            ..Change::of(to, None)
        });
    }

    /// Makes the changes that wait. Returns what the kernel refused.
    pub fn flush(&mut self) -> Vec<Error> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let changes = std::mem::take(&mut self.waiting);
        self.apply(BGP, &changes)
    }

    /// Whether so many changes wait that they are to be made.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= TOGETHER
    }

    /// Whether changes wait.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether an earlier life has left something that is not learned again yet.
    pub fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Takes out what an earlier life has left and this one has not learned again.
    pub fn sweep(&mut self) -> Vec<Error> {
        let stale = std::mem::take(&mut self.stale);
        let changes = stale.into_iter().map(|(to, table)| Change {
            table,
            ..Change::of(to, None)
        });
        let changes: Vec<Change> = changes.collect();
        self.apply(BGP, &changes)
    }

    /// Makes the static routes these. Returns what the kernel refused.
    pub fn set_statics(&mut self, wanted: BTreeMap<IpNet, Way>) -> Vec<Error> {
        if wanted == self.statics {
            return Vec::new();
        }
        let gone = self.statics.keys().filter(|to| !wanted.contains_key(*to));
        let gone = gone.map(|to| Change::of(*to, None));
        let changed = wanted
            .iter()
            .filter(|(to, way)| self.statics.get(*to) != Some(*way));
        let changed = changed.map(|(to, way)| Change::of(*to, Some(way.clone())));
        let changes: Vec<Change> = gone.chain(changed).collect();
        self.statics = wanted;
        self.apply(STATIC, &changes)
    }

    /// Puts back what somebody else took out.
    pub fn restore(&mut self, removed: &[(IpNet, u8)], learned: speaker::Forwarded<'_>) -> Vec<Error> {
        let mut failures = Vec::new();
        for (to, protocol) in removed {
            if *protocol == BGP.protocol
                && let Some(way) = learned.get(to)
            {
                self.forward(*to, Some(way));
            } else if *protocol == STATIC.protocol
                && let Some(way) = self.statics.get(to).cloned()
            {
                failures.extend(self.apply(STATIC, &[Change::of(*to, Some(way))]));
            }
        }
        failures.extend(self.flush());
        failures
    }

    /// Puts IPv4 routes back that lead over an interface: with its last IPv4 address the kernel drops them without a word.
    pub fn restore_over(&mut self, interface: u32, learned: speaker::Forwarded<'_>) -> Vec<Error> {
        let over = |way: &speaker::Way| way.hops().iter().any(|hop| hop.interface == interface);
        for (to, way) in learned.iter().filter(|(to, _)| to.addr().is_ipv4()) {
            if over(way) {
                self.forward(to, Some(way));
            }
        }
        self.flush()
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        // It goes with the process; nobody is left to be told.
        let _ = self.flush();
        let _ = self.sweep();
        let _ = self.set_statics(BTreeMap::new());
    }

    fn apply(&mut self, owner: Owner, changes: &[Change]) -> Vec<Error> {
        match route_change::apply(&mut self.netlink, owner, changes) {
            Ok(failures) => failures.into_iter().map(|(_, error)| error).collect(),
            Err(error) => vec![error],
        }
    }
}

/// What a route of the speaker's is in the kernel.
fn change(to: IpNet, way: Option<&speaker::Way>) -> Change {
    let hops = |hops: &[Hop]| Some(Way::Hops(hops.iter().map(plain).collect()));
    match way {
        None => Change::of(to, None),
        Some(speaker::Way::Hops(all)) => Change::of(to, hops(all)),
        Some(speaker::Way::Blackhole) => Change::of(to, Some(Way::Blackhole)),
        Some(speaker::Way::Special(special)) => Change {
            table: special.table,
            source: special.source,
            ..Change::of(to, hops(&special.hops))
        },
    }
}

fn plain(hop: &Hop) -> route_change::Hop {
    route_change::Hop {
        via: hop.via,
        interface: hop.interface,
        onlink: false,
    }
}

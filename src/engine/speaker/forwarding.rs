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
/// Room for the kernel's answers, should every change of a batch fail.
const ROOM: i32 = 1 << 20;

/// The routes.
pub struct Forwarding {
    netlink: Netlink,
    /// Those of the configuration that are in the kernel.
    statics: BTreeMap<IpNet, Way>,
    /// Changes of BGP's that wait to be made together.
    waiting: Vec<Change>,
    /// BGP's routes of a life before this one, until they are told anew or taken out.
    stale: BTreeSet<IpNet>,
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
            stale: BTreeSet::new(),
        };
        for v4 in [true, false] {
            let left = route::list_where(&mut forwarding.netlink, v4, |table, protocol| {
                table == libc::RT_TABLE_MAIN && [BGP.protocol, STATIC.protocol].contains(&protocol)
            })?;
            for route in left {
                if route.protocol == BGP.protocol {
                    forwarding.stale.insert(route.to);
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
        self.stale.remove(&to);
        let way = way.map(|way| match way {
            speaker::Way::Hops(hops) => Way::Hops(hops.iter().map(plain).collect()),
            speaker::Way::Blackhole => Way::Blackhole,
        });
        self.waiting.push(Change { to, way });
    }

    /// Makes the changes that wait. Returns what the kernel refused.
    pub fn flush(&mut self) -> Vec<Error> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let changes = std::mem::take(&mut self.waiting);
        self.apply(BGP, &changes)
    }

    /// Whether changes wait.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes out what an earlier life has left and this one has not learned again.
    pub fn sweep(&mut self) -> Vec<Error> {
        let stale = std::mem::take(&mut self.stale);
        let changes: Vec<Change> = stale.into_iter().map(removal).collect();
        self.apply(BGP, &changes)
    }

    /// Makes the static routes these. Returns what the kernel refused.
    pub fn set_statics(&mut self, wanted: BTreeMap<IpNet, Way>) -> Vec<Error> {
        if wanted == self.statics {
            return Vec::new();
        }
        let gone = self.statics.keys().filter(|to| !wanted.contains_key(*to));
        let gone = gone.map(|to| removal(*to));
        let changed = wanted
            .iter()
            .filter(|(to, way)| self.statics.get(*to) != Some(*way));
        let changed = changed.map(|(to, way)| Change {
            to: *to,
            way: Some(way.clone()),
        });
        let changes: Vec<Change> = gone.chain(changed).collect();
        self.statics = wanted;
        self.apply(STATIC, &changes)
    }

    /// Puts back what somebody else took out.
    pub fn restore(
        &mut self,
        removed: &[(IpNet, u8)],
        learned: &BTreeMap<IpNet, speaker::Way>,
    ) -> Vec<Error> {
        let mut failures = Vec::new();
        for (to, protocol) in removed {
            if *protocol == BGP.protocol
                && let Some(way) = learned.get(to)
            {
                self.forward(*to, Some(way));
            } else if *protocol == STATIC.protocol
                && let Some(way) = self.statics.get(to).cloned()
            {
                let (to, way) = (*to, Some(way));
                failures.extend(self.apply(STATIC, &[Change { to, way }]));
            }
        }
        failures.extend(self.flush());
        failures
    }

    /// Puts IPv4 routes back that lead over an interface: with its last IPv4 address the kernel drops them without a word.
    pub fn restore_over(&mut self, interface: u32, learned: &BTreeMap<IpNet, speaker::Way>) -> Vec<Error> {
        let over = |way: &speaker::Way| way.hops().iter().any(|hop| hop.interface == interface);
        for (to, way) in learned.iter().filter(|(to, _)| to.addr().is_ipv4()) {
            if over(way) {
                self.forward(*to, Some(way));
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

fn removal(to: IpNet) -> Change {
    Change { to, way: None }
}

fn plain(hop: &Hop) -> route_change::Hop {
    route_change::Hop {
        via: hop.via,
        interface: hop.interface,
        onlink: false,
    }
}

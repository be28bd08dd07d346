//! What an interface is on, and how often that came and went: shown, and of no other use.

use std::collections::BTreeMap;

use super::{Interface, Speaker, TcpFigures};
use crate::session::{ConnectionId, Time};

/// The device of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// The kernel's flags (netdevice(7)).
    pub flags: u32,
    /// The largest packet.
    pub mtu: u32,
    /// Its link-layer address; empty where it has none.
    pub address: Vec<u8>,
    /// What it is.
    pub kind: LinkKind,
    /// The interface at its other end, or below it.
    pub parent: Option<u32>,
    /// The bridge or the like that it is in.
    pub master: Option<u32>,
    /// The kernel's table, of a VRF's device.
    pub table: Option<u32>,
}

/// What a device is, as far as FRR tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkKind {
    /// A device, a loopback, or something FRR does not know.
    #[default]
    Other,
    /// One end of a pair.
    Veth,
    /// A bridge.
    Bridge,
    /// One network of several on a device.
    Vlan,
    /// A network over another.
    Vxlan,
    /// A routing domain.
    Vrf,
    /// Several that act as one.
    Bond,
    /// One of several on a device.
    MacVlan,
}

/// How often an interface came and went since the speaker is there, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkChanges {
    /// How often it came.
    pub ups: u32,
    /// How often it went.
    pub downs: u32,
    /// When it came last.
    pub last_up: Option<Time>,
    /// When it went last.
    pub last_down: Option<Time>,
}

impl LinkChanges {
    fn note(&mut self, up: bool, now: Time) {
        let (count, last) = match up {
            true => (&mut self.ups, &mut self.last_up),
            false => (&mut self.downs, &mut self.last_down),
        };
        *count += 1;
        *last = Some(now);
    }
}

impl Speaker {
    /// Takes note of how many router advertisements were sent and heard, by interface.
    pub fn note_advertisements(&mut self, counts: BTreeMap<u32, (u64, u64)>) {
        self.advertisements = counts;
    }

    /// Takes note of what the kernel has measured of the connections that sessions are up on.
    pub fn note_tcp(&mut self, figures: &BTreeMap<ConnectionId, TcpFigures>) {
        for peer in self.peers.values_mut() {
            let connection = peer.session.established_on();
            let found = connection.and_then(|connection| figures.get(&connection));
            peer.record.tcp = found.copied().unwrap_or_default();
        }
    }

    /// Router advertisements sent and heard on an interface; none where none are sent.
    pub fn advertisements(&self, interface: u32) -> Option<(u64, u64)> {
        self.advertisements.get(&interface).copied()
    }

    /// How often an interface came and went.
    pub fn link_changes(&self, interface: u32) -> LinkChanges {
        self.link_changes.get(&interface).copied().unwrap_or_default()
    }

    /// Takes note of interfaces that came and went.
    pub(super) fn note_links(&mut self, interfaces: &[Interface], now: Time) {
        for interface in interfaces {
            let mut known = self.interfaces.iter();
            let before = known.find(|it| it.index == interface.index);
            if before.is_some_and(|before| before.up != interface.up) {
                let changes = self.link_changes.entry(interface.index).or_default();
                changes.note(interface.up, now);
            }
        }
    }
}

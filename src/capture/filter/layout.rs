//! Where in a packet things are. VLAN tags and MPLS labels move what comes after them.

use super::condition::{Condition, Load, Test};
use super::{LinkType, code};

/// EtherTypes (linux/if_ether.h).
pub const IP: u32 = 0x0800;
pub const ARP: u32 = 0x0806;
pub const RARP: u32 = 0x8035;
pub const IP6: u32 = 0x86dd;
pub const MPLS: u32 = 0x8847;
/// Tags of VLANs: 802.1Q, 802.1ad, and what came before it.
pub const VLANS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
/// Up to this it is a length, and a header of 802.2 follows.
const LONGEST_LENGTH: u32 = 1500;
/// The service access point of ISO's protocols.
const ISO: u32 = 0xfe;

/// Where the outer VLAN tag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// Among the bytes of the packet.
    InPacket,
    /// The kernel has it beside the packet.
    BesidePacket,
}

/// How many bytes a load takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Octet,
    Half,
    Word,
}

impl Size {
    pub fn code(self) -> u16 {
        match self {
            Size::Octet => code::B,
            Size::Half => code::H,
            Size::Word => code::W,
        }
    }
}

/// Where things are, at some place of an expression.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub link: LinkType,
    pub tags: Tags,
    /// The EtherType.
    kind: u32,
    /// What follows the link's header.
    payload: u32,
    pub labels: u32,
    pub vlans: u32,
}

impl Layout {
    pub fn new(link: LinkType, tags: Tags) -> Layout {
        let (kind, payload) = match link {
            LinkType::Ethernet => (12, 14),
            LinkType::RawIp => (0, 0),
        };
        Layout {
            link,
            tags,
            kind,
            payload,
            labels: 0,
            vlans: 0,
        }
    }

    /// Where the network's header begins.
    pub fn network(&self) -> u32 {
        self.payload + 4 * self.labels
    }

    /// A value in the link's header.
    pub fn in_link(&self, offset: u32, size: Size) -> Load {
        Load::of(code::LD | size.code() | code::ABS, offset)
    }

    /// A value in the network's header.
    pub fn in_network(&self, offset: u32, size: Size) -> Load {
        self.in_link(self.network() + offset, size)
    }

    /// Whether the packet is of a protocol, by its EtherType or, up to 1500, by its service access point. `None` where MPLS
    /// hides that.
    pub fn is(&self, ethertype: u32) -> Option<Condition> {
        if self.labels > 0 {
            return self.is_below_labels(ethertype);
        }
        let kind = self.in_link(self.kind, Size::Half);
        Some(match self.link {
            LinkType::RawIp => match ethertype {
                IP => self.has_version(4),
                IP6 => self.has_version(6),
                _ => Condition::Always(false),
            },
            LinkType::Ethernet if ethertype > LONGEST_LENGTH => Condition::Test(kind, Test::equal(ethertype)),
            LinkType::Ethernet => {
                let is_length = Condition::Test(kind, Test::of(code::JGT, LONGEST_LENGTH)).negated();
                let point = match ethertype {
                    // Both ends are of ISO's.
                    ISO => Condition::Test(
                        self.in_link(self.payload, Size::Half),
                        Test::equal(ISO << 8 | ISO),
                    ),
                    _ => Condition::Test(self.in_link(self.payload, Size::Octet), Test::equal(ethertype)),
                };
                Condition::all([is_length, point])
            }
        })
    }

    fn has_version(&self, version: u32) -> Condition {
        let first = self.in_network(0, Size::Octet).masked(0xf0);
        Condition::Test(first, Test::equal(version << 4))
    }

    /// Behind MPLS nothing says which protocol it is but its first bits.
    fn is_below_labels(&self, ethertype: u32) -> Option<Condition> {
        let version = match ethertype {
            IP => 4,
            IP6 => 6,
            _ => return None,
        };
        Some(Condition::all([self.is_last_label(1), self.has_version(version)]))
    }

    /// Whether the label before the place reached is the last one.
    fn is_last_label(&self, bit: u32) -> Condition {
        let label = self.in_link(self.network() - 2, Size::Octet).masked(1);
        Condition::Test(label, Test::equal(bit))
    }

    /// Whether a VLAN tag stands here. What comes after it has moved.
    pub fn vlan(&mut self, id: Option<u32>) -> Condition {
        let is_beside = self.tags == Tags::BesidePacket && self.vlans == 0;
        self.vlans += 1;
        let mut parts = Vec::new();
        let tag = if is_beside {
            Load::of(code::LD | code::H | code::ABS, code::VLAN_TAG)
        } else {
            let kind = self.in_link(self.kind, Size::Half);
            let is = |tag| Condition::Test(kind.clone(), Test::equal(tag));
            parts.push(Condition::any(VLANS.map(is)));
            let tag = self.in_link(self.payload, Size::Half);
            self.kind += 4;
            self.payload += 4;
            tag
        };
        if let Some(id) = id {
            parts.push(Condition::Test(tag.masked(0xfff), Test::equal(id)));
        }
        Condition::All(parts)
    }

    /// Whether a label of MPLS stands here. What comes after it has moved.
    pub fn mpls(&mut self, label: Option<u32>) -> Condition {
        let mut parts = vec![match self.labels {
            0 => Condition::Test(self.in_link(self.kind, Size::Half), Test::equal(MPLS)),
            _ => self.is_last_label(0),
        }];
        if let Some(label) = label {
            let word = self.in_network(0, Size::Word).masked(0xffff_f000);
            parts.push(Condition::Test(word, Test::equal(label << 12)));
        }
        self.labels += 1;
        Condition::All(parts)
    }
}

//! What both sides of a session agreed on, as far as it changes how messages are written.

use super::types::Family;

/// Something for each family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerFamily<T> {
    /// IPv4 unicast.
    pub ipv4: T,
    /// IPv6 unicast.
    pub ipv6: T,
    /// L2VPN EVPN.
    pub evpn: T,
}

impl<T> PerFamily<T> {
    /// What there is for a family.
    pub fn get(&self, family: Family) -> &T {
        match family {
            Family::Ipv4Unicast => &self.ipv4,
            Family::Ipv6Unicast => &self.ipv6,
            Family::L2vpnEvpn => &self.evpn,
        }
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::Ipv4Unicast => &mut self.ipv4,
            Family::Ipv6Unicast => &mut self.ipv6,
            Family::L2vpnEvpn => &mut self.evpn,
        }
    }
}

/// How messages of a session are written and read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// AS numbers have four octets (RFC 6793).
    pub four_octet: bool,
    /// The other side knows them, whether they are used or not: then what it would say beside shorter ones is of no use.
    pub heard_four_octet: bool,
    /// Messages may be longer than 4,096 octets (RFC 8654).
    pub extended_messages: bool,
    /// Prefixes that arrive carry a path identifier (RFC 7911).
    pub add_path_receive: PerFamily<bool>,
    /// Prefixes that are sent carry one.
    pub add_path_send: PerFamily<bool>,
    /// Both sides are in one AS: LOCAL_PREF and the attributes of route reflection count.
    pub internal: bool,
}

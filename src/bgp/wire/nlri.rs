//! Prefixes in messages (RFC 4271 section 4.3, RFC 4760 section 5, RFC 7911 section 3).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::reader::Reader;
use super::types::Family;

/// A prefix, and which of several paths to it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nlri {
    /// The prefix; without bits behind its length.
    pub prefix: IpNet,
    /// The path identifier, where both sides agreed on them.
    pub path_id: Option<u32>,
}

impl From<IpNet> for Nlri {
    fn from(prefix: IpNet) -> Self {
        Nlri {
            prefix,
            path_id: None,
        }
    }
}

impl Nlri {
    /// Octets it takes.
    pub(super) fn encoded_length(&self) -> usize {
        let id = if self.path_id.is_some() { 4 } else { 0 };
        id + 1 + usize::from(self.prefix.prefix_len().div_ceil(8))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if let Some(id) = self.path_id {
            out.extend(id.to_be_bytes());
        }
        let length = self.prefix.prefix_len();
        out.push(length);
        let octets = usize::from(length.div_ceil(8));
        match self.prefix {
            IpNet::V4(net) => out.extend(&net.network().octets()[..octets]),
            IpNet::V6(net) => out.extend(&net.network().octets()[..octets]),
        }
    }
}

/// Reads prefixes until the end. Gives nothing where one is longer than its family's addresses, or cut off.
pub(super) fn decode_all(bytes: &[u8], family: Family, add_path: bool) -> Option<Vec<Nlri>> {
    let mut reader = Reader::new(bytes);
    // A prefix takes at least one octet, so this is no more than the message justifies; usual ones take four.
    let mut found = Vec::with_capacity(bytes.len() / 4);
    while !reader.is_empty() {
        let path_id = if add_path { Some(reader.u32()?) } else { None };
        let length = reader.u8()?;
        let octets = reader.take(usize::from(length.div_ceil(8)))?;
        let prefix = match family {
            Family::Ipv4Unicast => {
                let mut address = [0; 4];
                address.get_mut(..octets.len())?.copy_from_slice(octets);
                IpNet::V4(Ipv4Net::new(Ipv4Addr::from(address), length).ok()?.trunc())
            }
            Family::Ipv6Unicast => {
                let mut address = [0; 16];
                address.get_mut(..octets.len())?.copy_from_slice(octets);
                IpNet::V6(Ipv6Net::new(Ipv6Addr::from(address), length).ok()?.trunc())
            }
            // Its routes are no prefixes: `super::evpn` reads them.
            Family::L2vpnEvpn => return None,
        };
        found.push(Nlri { prefix, path_id });
    }
    Some(found)
}

//! Path attributes (RFC 4271 section 5), but for next hop and prefixes.

use std::net::Ipv4Addr;

use thin_vec::ThinVec;

use super::as_path::{AsPath, put_asn};
use super::community::{Community, LargeCommunity};
use super::extended_community::ExtendedCommunity;
use super::options::Options;
use super::path_attribute::{self as code, Flags};
use super::types::{AS_TRANS, Origin};

/// What is said about a route beside its prefix and next hop. A table has very many of these: lists that are mostly empty take
/// the room of a pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH.
    pub as_path: AsPath,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR: AS and identifier.
    pub aggregator: Option<(u32, Ipv4Addr)>,
    /// COMMUNITIES (RFC 1997).
    pub communities: Vec<Community>,
    /// EXTENDED COMMUNITIES (RFC 4360).
    pub extended_communities: ThinVec<ExtendedCommunity>,
    /// LARGE_COMMUNITY (RFC 8092).
    pub large_communities: ThinVec<LargeCommunity>,
    /// ORIGINATOR_ID (RFC 4456).
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456).
    pub cluster_list: ThinVec<Ipv4Addr>,
    /// Optional transitive attributes that mean nothing to unicast routes, most of them unknown to nslab, in the order of the
    /// message; passed on. PMSI_TUNNEL is here as well: see [`super::PmsiTunnel`].
    pub unknown: ThinVec<RawAttribute>,
}

/// An attribute as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RawAttribute {
    /// Its type code.
    pub code: u8,
    /// Its value.
    pub value: Vec<u8>,
}

impl Attributes {
    /// Appends all of them, in the order of their codes. `next_hop` is that of RFC 4271; others are in MP_REACH_NLRI.
    pub(super) fn encode(&self, next_hop: Option<Ipv4Addr>, options: &Options, out: &mut Vec<u8>) {
        let wide = options.four_octet;
        code::put(code::ORIGIN, &[self.origin.number()], out);
        let mut path = Vec::with_capacity(self.as_path.encoded_length(wide));
        self.as_path.encode(wide, &mut path);
        code::put(code::AS_PATH, &path, out);
        if let Some(next_hop) = next_hop {
            code::put(code::NEXT_HOP, &next_hop.octets(), out);
        }
        if let Some(med) = self.med {
            code::put(code::MED, &med.to_be_bytes(), out);
        }
        if let Some(local_pref) = self.local_pref {
            code::put(code::LOCAL_PREF, &local_pref.to_be_bytes(), out);
        }
        if self.atomic_aggregate {
            code::put(code::ATOMIC_AGGREGATE, &[], out);
        }
        if let Some((asn, id)) = self.aggregator {
            let mut value = Vec::with_capacity(8);
            put_asn(asn, wide, &mut value);
            value.extend(id.octets());
            code::put(code::AGGREGATOR, &value, out);
        }
        list(code::COMMUNITIES, &self.communities, |it| it.0.to_be_bytes(), out);
        if let Some(id) = self.originator_id {
            code::put(code::ORIGINATOR_ID, &id.octets(), out);
        }
        list(code::CLUSTER_LIST, &self.cluster_list, |id| id.octets(), out);
        list(
            code::EXTENDED_COMMUNITIES,
            &self.extended_communities,
            |it| it.0,
            out,
        );
        if !wide {
            self.encode_for_two_octets(out);
        }
        list(code::LARGE_COMMUNITIES, &self.large_communities, large, out);
        for raw in &self.unknown {
            if raw.code == code::PMSI_TUNNEL {
                code::put(raw.code, &raw.value, out);
                continue;
            }
            // Whoever passes on what he does not know says so (RFC 4271 section 5).
            let flags = Flags::OPTIONAL | Flags::TRANSITIVE | Flags::PARTIAL;
            code::put_with(flags, raw.code, &raw.value, out);
        }
    }

    /// AS numbers that do not fit into two octets (RFC 6793 section 4.2.2).
    fn encode_for_two_octets(&self, out: &mut Vec<u8>) {
        if self.as_path.asns().any(|asn| asn > u32::from(u16::MAX)) {
            let mut path = self.as_path.clone();
            path.segments.retain(|segment| !segment.is_confed());
            let mut value = Vec::new();
            path.encode(true, &mut value);
            code::put(code::AS4_PATH, &value, out);
        }
        if let Some((asn, id)) = self.aggregator.filter(|(asn, _)| *asn > u32::from(u16::MAX)) {
            let mut value = asn.to_be_bytes().to_vec();
            value.extend(id.octets());
            code::put(code::AS4_AGGREGATOR, &value, out);
        }
    }

    /// Puts the AS numbers in that a side without four octets could only pass through (RFC 6793 section 4.2.3).
    pub(super) fn merge_four_octets(&mut self, path: Option<AsPath>, aggregator: Option<(u32, Ipv4Addr)>) {
        if let (Some((asn, _)), Some(wide)) = (self.aggregator, aggregator) {
            if asn != u32::from(AS_TRANS) {
                // Somebody on the way who knows nothing of these has aggregated: they are about another route.
                return;
            }
            self.aggregator = Some(wide);
        }
        let Some(path) = path else { return };
        let (all, known) = (self.as_path.length(), path.length());
        if all >= known {
            let mut merged = self.as_path.leading(all - known);
            merged.segments.extend(path.segments);
            self.as_path = merged;
        }
    }
}

fn large(community: &LargeCommunity) -> [u8; 12] {
    let mut bytes = [0; 12];
    let parts = [community.global, community.local1, community.local2];
    for (chunk, part) in bytes.chunks_exact_mut(4).zip(parts) {
        chunk.copy_from_slice(&part.to_be_bytes());
    }
    bytes
}

fn list<T, const N: usize>(kind: u8, items: &[T], bytes: impl Fn(&T) -> [u8; N], out: &mut Vec<u8>) {
    if !items.is_empty() {
        let value: Vec<u8> = items.iter().flat_map(bytes).collect();
        code::put(kind, &value, out);
    }
}

//! UPDATEs of EVPN as they are written: as many routes as fit into each message.

use super::attributes::Attributes;
use super::evpn::EvpnNlri;
use super::header::{self, HEADER, begin, finish, longest};
use super::options::Options;
use super::path_attribute::{MP_REACH_NLRI, MP_UNREACH_NLRI};
use super::reader::patch_length;
use super::types::{Family, NextHop};
use super::writer::{TooLong, multiprotocol, octets};

/// A route with its type, length and path identifier.
const LONGEST_ROUTE: usize = 4 + 2 + 255;

/// Appends messages that announce routes with the same attributes.
///
/// # Errors
/// The attributes are longer than a message. Nothing was appended.
pub fn announce_evpn(
    next_hop: NextHop,
    attributes: &Attributes,
    nlri: &[EvpnNlri],
    options: &Options,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    let mut encoded = Vec::new();
    attributes.encode(None, options, &mut encoded);
    let next_hop = octets(next_hop);
    let frame = HEADER + 4 + encoded.len() + 9 + next_hop.len();
    let limit = longest(options);
    if frame + LONGEST_ROUTE > limit {
        return Err(TooLong);
    }
    let mut rest = nlri;
    while !rest.is_empty() {
        let start = begin(header::UPDATE, out);
        out.extend([0, 0]);
        let length_at = out.len();
        out.extend([0, 0]);
        let value_at = multiprotocol(MP_REACH_NLRI, Family::L2vpnEvpn, out);
        out.push(next_hop.len() as u8);
        out.extend(&next_hop);
        out.push(0);
        rest = fill(rest, start + limit - encoded.len(), out);
        patch_length(out, value_at);
        out.extend(&encoded);
        patch_length(out, length_at);
        finish(start, out);
    }
    Ok(())
}

/// Appends messages that withdraw routes; none without any.
pub fn withdraw_evpn(nlri: &[EvpnNlri], options: &Options, out: &mut Vec<u8>) {
    let limit = longest(options);
    let mut rest = nlri;
    while !rest.is_empty() {
        let start = begin(header::UPDATE, out);
        out.extend([0, 0]);
        let attributes_at = out.len();
        out.extend([0, 0]);
        let value_at = multiprotocol(MP_UNREACH_NLRI, Family::L2vpnEvpn, out);
        rest = fill(rest, start + limit, out);
        patch_length(out, value_at);
        patch_length(out, attributes_at);
        finish(start, out);
    }
}

/// Appends routes as long as the whole stays within `end`, and returns the others. The first always fits.
fn fill<'n>(nlri: &'n [EvpnNlri], end: usize, out: &mut Vec<u8>) -> &'n [EvpnNlri] {
    for (at, next) in nlri.iter().enumerate() {
        let before = out.len();
        next.encode(out);
        if out.len() > end && at > 0 {
            out.truncate(before);
            return &nlri[at..];
        }
    }
    &[]
}

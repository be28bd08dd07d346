//! UPDATEs as they are written: as many prefixes as fit into each message.

use super::attributes::Attributes;
use super::header::{self, HEADER, begin, finish, longest};
use super::message::{Message, decode};
use super::nlri::Nlri;
use super::options::{Options, PerFamily};
use super::path_attribute::{Flags, MP_REACH_NLRI, MP_UNREACH_NLRI};
use super::reader::patch_length;
use super::types::{AfiSafi, Family, NextHop};

/// The attributes leave no room for a prefix: the route cannot be told to this neighbor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The longest prefix with its path identifier.
const LONGEST_NLRI: usize = 4 + 1 + 16;

/// Appends messages that announce prefixes with the same attributes.
///
/// # Errors
/// The attributes are longer than a message. Nothing was appended.
pub fn announce(
    family: Family,
    next_hop: NextHop,
    attributes: &Attributes,
    nlri: impl IntoIterator<Item = Nlri>,
    options: &Options,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    let mut path = Vec::new();
    encode_path(family, next_hop, attributes, options, &mut path);
    announce_encoded(family, &path, nlri, options, out)
}

/// Appends all that UPDATEs say about a route but its prefix: the next hop of MP_REACH_NLRI behind its length, which is 0 where
/// NEXT_HOP has it, and the attributes. It holds for sessions of a family with the same options, and is the same octets where
/// the same is said.
pub fn encode_path(
    family: Family,
    next_hop: NextHop,
    attributes: &Attributes,
    options: &Options,
    out: &mut Vec<u8>,
) {
    match (family, next_hop) {
        (Family::Ipv4Unicast, NextHop::V4(address)) => {
            out.push(0);
            attributes.encode(Some(address), options, out);
        }
        (_, next_hop) => {
            let octets = octets(next_hop);
            out.push(octets.len() as u8);
            out.extend(octets);
            attributes.encode(None, options, out);
        }
    }
}

/// What [`encode_path`] has written.
pub fn decode_path(family: Family, path: &[u8], options: &Options) -> Option<(Attributes, NextHop)> {
    let options = Options {
        add_path_receive: PerFamily::default(),
        heard_four_octet: false,
        ..*options
    };
    let mut message = Vec::new();
    announce_encoded(
        family,
        path,
        [Nlri::from(family.default_route())],
        &options,
        &mut message,
    )
    .ok()?;
    match decode(&message, &options) {
        Ok(Message::Update(update)) => {
            let next_hop = update.reachable.first()?.next_hop;
            Some((update.attributes, next_hop))
        }
        _ => None,
    }
}

/// Appends messages that announce prefixes with what [`encode_path`] has written.
///
/// # Errors
/// It is longer than a message. Nothing was appended.
pub fn announce_encoded(
    family: Family,
    path: &[u8],
    nlri: impl IntoIterator<Item = Nlri>,
    options: &Options,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    let mut nlri = nlri.into_iter().peekable();
    let (length, rest) = path.split_first().unwrap_or((&0, &[]));
    let (next_hop, attributes) = rest.split_at_checked(usize::from(*length)).unwrap_or_default();
    let is_traditional = next_hop.is_empty();
    // Withdrawn length, attributes' length, and in the other form the frame of MP_REACH_NLRI.
    let multiprotocol_frame = if is_traditional { 0 } else { 9 + next_hop.len() };
    let frame = HEADER + 4 + attributes.len() + multiprotocol_frame;
    let limit = longest(options);
    if frame + LONGEST_NLRI > limit {
        return Err(TooLong);
    }
    while nlri.peek().is_some() {
        let start = begin(header::UPDATE, out);
        out.extend([0, 0]);
        let length_at = out.len();
        out.extend([0, 0]);
        if is_traditional {
            out.extend(attributes);
            patch_length(out, length_at);
            fill(&mut nlri, start + limit, out);
        } else {
            // Before the others, so that whoever reads finds the prefixes first (RFC 7606 section 5.1).
            let value_at = multiprotocol(MP_REACH_NLRI, family, out);
            out.push(next_hop.len() as u8);
            out.extend(next_hop);
            out.push(0);
            fill(&mut nlri, start + limit - attributes.len(), out);
            patch_length(out, value_at);
            out.extend(attributes);
            patch_length(out, length_at);
        }
        finish(start, out);
    }
    Ok(())
}

/// Appends messages that withdraw prefixes; without any, the end of the family's routes (RFC 4724 section 2).
pub fn withdraw(family: Family, nlri: impl IntoIterator<Item = Nlri>, options: &Options, out: &mut Vec<u8>) {
    let mut nlri = nlri.into_iter().peekable();
    let limit = longest(options);
    loop {
        let start = begin(header::UPDATE, out);
        let length_at = out.len();
        out.extend([0, 0]);
        if family == Family::Ipv4Unicast {
            fill(&mut nlri, start + limit - 2, out);
            patch_length(out, length_at);
            out.extend([0, 0]);
        } else {
            let attributes_at = out.len();
            out.extend([0, 0]);
            let value_at = multiprotocol(MP_UNREACH_NLRI, family, out);
            fill(&mut nlri, start + limit, out);
            patch_length(out, value_at);
            patch_length(out, attributes_at);
        }
        finish(start, out);
        if nlri.peek().is_none() {
            return;
        }
    }
}

/// Begins an attribute with a length of two octets, which are at the place returned.
fn multiprotocol(code: u8, family: Family, out: &mut Vec<u8>) -> usize {
    let family = AfiSafi::from(family);
    out.extend([Flags::OPTIONAL | Flags::EXTENDED, code]);
    let at = out.len();
    out.extend([0, 0]);
    out.extend(family.afi.to_be_bytes());
    out.push(family.safi);
    at
}

/// Appends prefixes as long as the whole stays within `end`.
fn fill(nlri: &mut std::iter::Peekable<impl Iterator<Item = Nlri>>, end: usize, out: &mut Vec<u8>) {
    while let Some(next) = nlri.next_if(|next| out.len() + next.encoded_length() <= end) {
        next.encode(out);
    }
}

fn octets(next_hop: NextHop) -> Vec<u8> {
    match next_hop {
        NextHop::V4(address) => address.octets().to_vec(),
        NextHop::V6 { global, link_local } => {
            let mut octets = global.octets().to_vec();
            octets.extend(link_local.iter().flat_map(|local| local.octets()));
            octets
        }
    }
}

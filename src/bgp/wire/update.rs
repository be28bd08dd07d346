//! UPDATE as it is read (RFC 4271 section 4.3 and 6.3, RFC 4760, RFC 7606, RFC 8950).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::as_path::AsPath;
use super::attributes::{Attributes, RawAttribute};
use super::community::{Community, LargeCommunity};
use super::error_code::{UPDATE_MESSAGE, update_message};
use super::evpn::{self, EvpnNlri, PmsiTunnel};
use super::extended_community::ExtendedCommunity;
use super::nlri::{Nlri, decode_all};
use super::notification::Notification;
use super::options::Options;
use super::path_attribute::{self as code, Flags, Framed};
use super::reader::Reader;
use super::types::{AfiSafi, Family, NextHop, Origin};

/// What a neighbor says about routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Prefixes that are not reached any more.
    pub unreachable: Vec<(Family, Vec<Nlri>)>,
    /// Prefixes that are reached, all with the attributes below.
    pub reachable: Vec<Reach>,
    /// Routes of EVPN that are not reached any more.
    pub evpn_unreachable: Vec<EvpnNlri>,
    /// Routes of EVPN that are reached, and their next hop: the tunnel's other end.
    pub evpn_reachable: Option<(NextHop, Vec<EvpnNlri>)>,
    /// What is said about them.
    pub attributes: Attributes,
    /// All routes of a family have been sent (RFC 4724 section 2).
    pub end_of_rib: Option<Family>,
    /// What was wrong with the message and was passed over (RFC 7606): attributes left out, or the prefixes of
    /// `reachable` moved to `unreachable`.
    pub faults: Vec<String>,
}

/// Prefixes that are reached by one next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Their family.
    pub family: Family,
    /// The way to them.
    pub next_hop: NextHop,
    /// The prefixes.
    pub nlri: Vec<Nlri>,
}

/// What becomes of a message with a fault (RFC 7606 section 2).
enum Fault {
    /// The attribute is left out.
    Discard(String),
    /// The prefixes are taken as withdrawn.
    Withdraw(String),
    /// The session ends.
    Reset(Notification),
}

/// What is found while reading attributes.
#[derive(Default)]
struct Found {
    seen: Seen,
    next_hop: Option<Ipv4Addr>,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<(u32, Ipv4Addr)>,
    has_path: bool,
    withdraw: bool,
}

/// Codes of attributes that were seen, a bit each.
#[derive(Default)]
struct Seen([u64; 4]);

impl Seen {
    /// Whether it was seen before.
    fn note(&mut self, code: u8) -> bool {
        let before = self.has(code);
        self.0[usize::from(code / 64)] |= 1 << (code % 64);
        before
    }

    fn has(&self, code: u8) -> bool {
        self.0[usize::from(code / 64)] & 1 << (code % 64) != 0
    }
}

impl Update {
    /// Reads one.
    ///
    /// # Errors
    /// The message makes no sense in a way that puts all further ones in doubt.
    pub(super) fn decode(body: &[u8], options: &Options) -> Result<Update, Notification> {
        let list = || Notification::update(update_message::MALFORMED_ATTRIBUTE_LIST);
        let mut reader = Reader::new(body);
        let withdrawn = reader.counted16().ok_or_else(list)?;
        let attributes = reader.counted16().ok_or_else(list)?;
        let add_path = options.add_path_receive.ipv4;
        let prefixes = |bytes| {
            decode_all(bytes, Family::Ipv4Unicast, add_path)
                .ok_or_else(|| Notification::update(update_message::INVALID_NETWORK_FIELD))
        };
        let (withdrawn, announced) = (prefixes(withdrawn)?, prefixes(reader.rest())?);
        let mut update = Update::default();
        if !withdrawn.is_empty() {
            update.unreachable.push((Family::Ipv4Unicast, withdrawn));
        }
        let mut found = Found::default();
        update.read_attributes(attributes, options, &mut found)?;
        if !announced.is_empty() {
            // Where it is missing, that is found out below.
            let next_hop = NextHop::V4(found.next_hop.unwrap_or(Ipv4Addr::UNSPECIFIED));
            update.reachable.push(Reach {
                family: Family::Ipv4Unicast,
                next_hop,
                nlri: announced,
            });
            if found.next_hop.is_none() && !found.seen.has(code::NEXT_HOP) {
                found.withdraw = true;
                update.faults.push("NEXT_HOP is missing".to_owned());
            }
        }
        let has_routes = update.has_routes();
        if found.withdraw && !has_routes {
            // The prefixes that were meant may be in what could not be read (RFC 7606 section 5.2).
            return Err(list());
        }
        update.complete(body, attributes, options, found);
        Ok(update)
    }

    /// Whether it says of anything that it is reached.
    fn has_routes(&self) -> bool {
        let of_evpn = self.evpn_reachable.iter().any(|(_, nlri)| !nlri.is_empty());
        of_evpn || self.reachable.iter().any(|reach| !reach.nlri.is_empty())
    }

    fn read_attributes(
        &mut self,
        bytes: &[u8],
        options: &Options,
        found: &mut Found,
    ) -> Result<(), Notification> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let Some(framed) = code::next(&mut reader) else {
                found.withdraw = true;
                self.faults.push("an attribute runs over the end".to_owned());
                break;
            };
            let is_multiprotocol = matches!(framed.code, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI);
            if found.seen.note(framed.code) {
                if is_multiprotocol {
                    return Err(Notification::update(update_message::MALFORMED_ATTRIBUTE_LIST));
                }
                self.faults
                    .push(format!("attribute {} stands twice", framed.code));
                continue;
            }
            match self.read(&framed, options, found) {
                Ok(()) => {}
                Err(Fault::Discard(reason)) => self.faults.push(reason),
                Err(Fault::Withdraw(reason)) => {
                    found.withdraw = true;
                    self.faults.push(reason);
                }
                Err(Fault::Reset(notification)) => return Err(notification),
            }
        }
        Ok(())
    }

    fn read(&mut self, framed: &Framed<'_>, options: &Options, found: &mut Found) -> Result<(), Fault> {
        let Framed { flags, code, value } = *framed;
        if !Flags::fit(flags, code) {
            if matches!(code, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI) {
                // Nobody knows which prefixes were meant (RFC 7606 section 3, j).
                return Err(Fault::Reset(refusal(update_message::ATTRIBUTE_FLAGS, framed)));
            }
            return Err(Fault::Withdraw(format!("attribute {code} has wrong flags")));
        }
        let attributes = &mut self.attributes;
        match code {
            code::ORIGIN => {
                let origin = match value {
                    [number] => Origin::from_number(*number),
                    _ => None,
                };
                attributes.origin = origin.ok_or_else(|| withdraw("ORIGIN"))?;
            }
            code::AS_PATH => {
                let path = AsPath::decode(value, options.four_octet);
                attributes.as_path = path.map_err(|reason| Fault::Withdraw(format!("AS_PATH: {reason}")))?;
                found.has_path = true;
            }
            code::NEXT_HOP => {
                let octets: [u8; 4] = value.try_into().map_err(|_| withdraw("NEXT_HOP"))?;
                found.next_hop = Some(octets.into());
            }
            code::MED => attributes.med = Some(number(value).ok_or_else(|| withdraw("MED"))?),
            code::LOCAL_PREF | code::ORIGINATOR_ID | code::CLUSTER_LIST if !options.internal => {
                return Err(Fault::Discard(format!("attribute {code} from another AS")));
            }
            code::LOCAL_PREF => {
                attributes.local_pref = Some(number(value).ok_or_else(|| withdraw("LOCAL_PREF"))?);
            }
            code::ATOMIC_AGGREGATE if !value.is_empty() => return Err(discard("ATOMIC_AGGREGATE")),
            code::ATOMIC_AGGREGATE => attributes.atomic_aggregate = true,
            code::AGGREGATOR => {
                let read = aggregator(value, options.four_octet);
                attributes.aggregator = Some(read.ok_or_else(|| discard("AGGREGATOR"))?);
            }
            code::COMMUNITIES => {
                let read = list(value, |octets| Community(u32::from_be_bytes(octets)));
                attributes.communities = read.ok_or_else(|| withdraw("COMMUNITIES"))?;
            }
            code::ORIGINATOR_ID => {
                let octets: [u8; 4] = value.try_into().map_err(|_| withdraw("ORIGINATOR_ID"))?;
                attributes.originator_id = Some(octets.into());
            }
            code::CLUSTER_LIST => {
                let read = list(value, |octets: [u8; 4]| Ipv4Addr::from(octets));
                attributes.cluster_list = read.ok_or_else(|| withdraw("CLUSTER_LIST"))?;
            }
            code::EXTENDED_COMMUNITIES => {
                let read = list(value, ExtendedCommunity);
                attributes.extended_communities = read.ok_or_else(|| withdraw("EXTENDED COMMUNITIES"))?;
            }
            code::LARGE_COMMUNITIES => {
                attributes.large_communities =
                    list(value, large).ok_or_else(|| withdraw("LARGE_COMMUNITY"))?;
            }
            // Whoever knows four octets is not to send them to one who does (RFC 6793 section 4.1).
            code::AS4_PATH | code::AS4_AGGREGATOR if options.four_octet || options.heard_four_octet => {
                return Err(Fault::Discard(format!("attribute {code} is of no use here")));
            }
            code::AS4_PATH => {
                let path = AsPath::decode(value, true).map_err(|_| discard("AS4_PATH"))?;
                found.as4_path = Some(path);
            }
            code::AS4_AGGREGATOR => {
                found.as4_aggregator =
                    Some(aggregator(value, true).ok_or_else(|| discard("AS4_AGGREGATOR"))?);
            }
            code::PMSI_TUNNEL => {
                PmsiTunnel::decode(value).ok_or_else(|| withdraw("PMSI_TUNNEL"))?;
                let value = value.to_vec();
                attributes.unknown.push(RawAttribute { code, value });
            }
            code::MP_REACH_NLRI => self.read_reach(value, options)?,
            code::MP_UNREACH_NLRI => self.read_unreach(value, options)?,
            _ if flags & Flags::OPTIONAL == 0 => {
                let subcode = update_message::UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE;
                return Err(Fault::Reset(refusal(subcode, framed)));
            }
            _ if flags & Flags::TRANSITIVE != 0 => attributes.unknown.push(RawAttribute {
                code,
                value: value.to_vec(),
            }),
            _ => {}
        }
        Ok(())
    }

    /// MP_REACH_NLRI (RFC 4760 section 3). A family that was not agreed on is passed over.
    fn read_reach(&mut self, value: &[u8], options: &Options) -> Result<(), Fault> {
        let malformed = || Fault::Reset(Notification::update(update_message::OPTIONAL_ATTRIBUTE));
        let mut reader = Reader::new(value);
        let family = family(&mut reader).ok_or_else(malformed)?;
        let next_hop = reader.counted8().ok_or_else(malformed)?;
        reader.u8().ok_or_else(malformed)?;
        let Ok(family) = Family::try_from(family) else {
            return Err(Fault::Discard(format!(
                "routes of AFI {} SAFI {}",
                family.afi, family.safi
            )));
        };
        let next_hop = next_hop_of(family, next_hop).ok_or_else(malformed)?;
        let add_path = *options.add_path_receive.get(family);
        if family == Family::L2vpnEvpn {
            let (nlri, faults) = evpn::decode_all(reader.rest(), add_path).ok_or_else(malformed)?;
            self.faults.extend(faults);
            self.evpn_reachable = Some((next_hop, nlri));
            return Ok(());
        }
        let nlri = decode_all(reader.rest(), family, add_path).ok_or_else(malformed)?;
        self.reachable.push(Reach {
            family,
            next_hop,
            nlri,
        });
        Ok(())
    }

    /// MP_UNREACH_NLRI (RFC 4760 section 4).
    fn read_unreach(&mut self, value: &[u8], options: &Options) -> Result<(), Fault> {
        let malformed = || Fault::Reset(Notification::update(update_message::OPTIONAL_ATTRIBUTE));
        let mut reader = Reader::new(value);
        let family = family(&mut reader).ok_or_else(malformed)?;
        let Ok(family) = Family::try_from(family) else {
            return Err(Fault::Discard(format!(
                "routes of AFI {} SAFI {}",
                family.afi, family.safi
            )));
        };
        let add_path = *options.add_path_receive.get(family);
        if family == Family::L2vpnEvpn {
            let is_empty = reader.is_empty();
            let (nlri, faults) = evpn::decode_all(reader.rest(), add_path).ok_or_else(malformed)?;
            self.faults.extend(faults);
            self.evpn_unreachable = nlri;
            if is_empty {
                // Stands for the end of the family's routes until all is read.
                self.unreachable.push((family, Vec::new()));
            }
            return Ok(());
        }
        let nlri = decode_all(reader.rest(), family, add_path).ok_or_else(malformed)?;
        self.unreachable.push((family, nlri));
        Ok(())
    }

    /// What can be said only when all attributes are read.
    fn complete(&mut self, body: &[u8], attributes: &[u8], options: &Options, found: Found) {
        if !options.four_octet {
            self.attributes
                .merge_four_octets(found.as4_path, found.as4_aggregator);
        }
        self.end_of_rib = if body == [0; 4] {
            Some(Family::Ipv4Unicast)
        } else {
            match (&self.unreachable[..], &self.reachable[..]) {
                _ if self.evpn_reachable.is_some() => None,
                // An empty MP_UNREACH_NLRI and nothing else (RFC 4724 section 2).
                ([(family, none)], []) if none.is_empty() && attributes.len() <= 7 => Some(*family),
                _ => None,
            }
        };
        self.unreachable.retain(|(_, nlri)| !nlri.is_empty());
        let has_routes = self.has_routes();
        let mandatory = [
            (found.seen.has(code::ORIGIN), "ORIGIN"),
            (found.seen.has(code::AS_PATH), "AS_PATH"),
            (
                !options.internal || found.seen.has(code::LOCAL_PREF),
                "LOCAL_PREF",
            ),
        ];
        let missing = mandatory.iter().filter(|(there, _)| has_routes && !there);
        let missing: Vec<String> = missing.map(|(_, name)| format!("{name} is missing")).collect();
        if found.withdraw || !missing.is_empty() {
            for reach in self.reachable.drain(..) {
                self.unreachable.push((reach.family, reach.nlri));
            }
            if let Some((_, nlri)) = self.evpn_reachable.take() {
                self.evpn_unreachable.extend(nlri);
            }
            self.attributes = Attributes::default();
        }
        self.faults.extend(missing);
    }
}

/// A refusal that shows the attribute at fault (RFC 4271 section 6.3).
fn refusal(subcode: u8, framed: &Framed<'_>) -> Notification {
    let mut data = Vec::new();
    code::put_with(
        framed.flags & !Flags::EXTENDED,
        framed.code,
        framed.value,
        &mut data,
    );
    Notification::with_data(UPDATE_MESSAGE, subcode, data)
}

fn withdraw(name: &str) -> Fault {
    Fault::Withdraw(format!("{name} is malformed"))
}

fn discard(name: &str) -> Fault {
    Fault::Discard(format!("{name} is malformed"))
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

fn family(reader: &mut Reader<'_>) -> Option<AfiSafi> {
    let afi = reader.u16()?;
    let safi = reader.u8()?;
    Some(AfiSafi { afi, safi })
}

/// Items of one size, at least one (RFC 7606 section 7.8).
fn list<T, L: FromIterator<T>, const N: usize>(value: &[u8], item: impl Fn([u8; N]) -> T) -> Option<L> {
    let (chunks, rest) = value.as_chunks::<N>();
    (rest.is_empty() && !chunks.is_empty()).then(|| chunks.iter().map(|chunk| item(*chunk)).collect())
}

fn large(octets: [u8; 12]) -> LargeCommunity {
    let part = |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    LargeCommunity {
        global: part(0),
        local1: part(4),
        local2: part(8),
    }
}

fn aggregator(value: &[u8], four_octet: bool) -> Option<(u32, Ipv4Addr)> {
    let mut reader = Reader::new(value);
    let asn = if four_octet {
        reader.u32()?
    } else {
        reader.u16().map(u32::from)?
    };
    let id = Ipv4Addr::from(reader.array()?);
    // AS 0 makes it malformed (RFC 7607 section 2).
    (reader.is_empty() && asn != 0).then_some((asn, id))
}

/// The next hop of a family. IPv4 prefixes may have an IPv6 one (RFC 8950), whatever was agreed on: FRR sends its
/// link-local address twice, others zeros and the link-local one.
fn next_hop_of(family: Family, octets: &[u8]) -> Option<NextHop> {
    let v6 = |octets: &[u8]| {
        octets
            .try_into()
            .ok()
            .map(|octets: [u8; 16]| Ipv6Addr::from(octets))
    };
    match octets.len() {
        4 if matches!(family, Family::Ipv4Unicast | Family::L2vpnEvpn) => {
            let octets: [u8; 4] = octets.try_into().ok()?;
            Some(NextHop::V4(octets.into()))
        }
        16 => Some(NextHop::V6 {
            global: v6(octets)?,
            link_local: None,
        }),
        32 => {
            let (global, local) = (v6(&octets[..16])?, v6(&octets[16..])?);
            let link_local = local.is_unicast_link_local().then_some(local);
            Some(NextHop::V6 { global, link_local })
        }
        _ => None,
    }
}

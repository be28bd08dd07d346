//! OPEN (RFC 4271 section 4.2 and 6.2, RFC 9072).

use std::net::Ipv4Addr;

use super::capability::{Capability, Malformed};
use super::error_code::{OPEN_MESSAGE, UNSPECIFIC, open_message};
use super::notification::Notification;
use super::reader::{Reader, patch_length};
use super::types::AS_TRANS;

const VERSION: u8 = 4;
const AUTHENTICATION: u8 = 1;
const CAPABILITIES: u8 = 2;
/// In the place of the parameters' length, and of the first one's type: lengths have two octets (RFC 9072 section 2).
const EXTENDED: u8 = 255;

/// How a side introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its AS, from the capability where there is one.
    pub asn: u32,
    /// Seconds; 0 is for ever.
    pub hold_time: u16,
    /// Its identifier.
    pub router_id: Ipv4Addr,
    /// What it can do, in the order of the message.
    pub capabilities: Vec<Capability>,
}

impl Open {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend(u16::try_from(self.asn).unwrap_or(AS_TRANS).to_be_bytes());
        out.extend(self.hold_time.to_be_bytes());
        out.extend(self.router_id.octets());
        let mut capabilities = Vec::new();
        for capability in &self.capabilities {
            capability.encode(&mut capabilities);
        }
        if capabilities.is_empty() {
            out.push(0);
        } else if let Ok(length @ ..=253) = u8::try_from(capabilities.len()) {
            out.extend([length + 2, CAPABILITIES, length]);
            out.extend(capabilities);
        } else {
            out.extend([EXTENDED, EXTENDED]);
            let at = out.len();
            out.extend([0, 0, CAPABILITIES]);
            let inner = out.len();
            out.extend([0, 0]);
            out.extend(capabilities);
            patch_length(out, inner);
            patch_length(out, at);
        }
    }

    /// Reads one, and refuses what no neighbor may say.
    pub(super) fn decode(body: &[u8]) -> Result<Open, Notification> {
        let refuse = |subcode| Notification::new(OPEN_MESSAGE, subcode);
        let malformed = || refuse(UNSPECIFIC);
        let mut reader = Reader::new(body);
        let version = reader.u8().ok_or_else(malformed)?;
        if version != VERSION {
            let subcode = open_message::UNSUPPORTED_VERSION_NUMBER;
            return Err(Notification::with_data(OPEN_MESSAGE, subcode, [0, VERSION]));
        }
        let short = reader.u16().ok_or_else(malformed)?;
        let hold_time = reader.u16().ok_or_else(malformed)?;
        let router_id = Ipv4Addr::from(reader.array().ok_or_else(malformed)?);
        let capabilities = parameters(&mut reader);
        let asn = number(short, &capabilities)?;
        if router_id.is_unspecified() {
            let subcode = open_message::BAD_BGP_IDENTIFIER;
            return Err(Notification::with_data(OPEN_MESSAGE, subcode, router_id.octets()));
        }
        if matches!(hold_time, 1 | 2) {
            let subcode = open_message::UNACCEPTABLE_HOLD_TIME;
            return Err(Notification::with_data(
                OPEN_MESSAGE,
                subcode,
                hold_time.to_be_bytes(),
            ));
        }
        let capabilities = capabilities?;
        Ok(Open {
            asn,
            hold_time,
            router_id,
            capabilities,
        })
    }
}

/// Which AS the neighbor is in (RFC 6793 section 4.1). AS 0 is nobody's (RFC 7607 section 2), and what is said twice must agree,
/// as FRR has it.
fn number(short: u16, capabilities: &Result<Vec<Capability>, Notification>) -> Result<u32, Notification> {
    let refuse = |data: &[u8]| Notification::with_data(OPEN_MESSAGE, open_message::BAD_PEER_AS, data);
    let known = match capabilities {
        Ok(known) => known.as_slice(),
        Err(why) if why.subcode == open_message::BAD_PEER_AS => return Err(why.clone()),
        Err(_) => &[],
    };
    let mut said = known.iter().filter_map(|capability| match capability {
        Capability::FourOctetAs(asn) => Some(*asn),
        _ => None,
    });
    let long = said.next();
    let later = said.any(|asn| asn == 0);
    match (short, long) {
        (_, Some(asn @ 0)) => Err(refuse(&asn.to_be_bytes())),
        (0, _) => Err(refuse(&[])),
        (AS_TRANS, Some(asn)) if asn == u32::from(AS_TRANS) => Err(refuse(&asn.to_be_bytes())),
        (short, Some(asn)) if short != AS_TRANS && asn != u32::from(short) => Err(refuse(&asn.to_be_bytes())),
        (..) if later => Err(Notification::new(OPEN_MESSAGE, UNSPECIFIC)),
        (_, Some(asn)) => Ok(asn),
        (short, None) => Ok(u32::from(short)),
    }
}

fn parameters(reader: &mut Reader<'_>) -> Result<Vec<Capability>, Notification> {
    let malformed = || Notification::new(OPEN_MESSAGE, UNSPECIFIC);
    let length = reader.u8().ok_or_else(malformed)?;
    let mut rest = *reader;
    let extended = length == EXTENDED && rest.u8() == Some(EXTENDED);
    let body = if extended {
        rest.counted16().filter(|_| rest.is_empty())
    } else {
        let taken = reader.take(usize::from(length));
        taken.filter(|_| reader.is_empty())
    };
    let mut body = Reader::new(body.ok_or_else(malformed)?);
    let mut capabilities = Vec::new();
    while !body.is_empty() {
        let kind = body.u8().ok_or_else(malformed)?;
        let value = if extended {
            body.counted16()
        } else {
            body.counted8()
        };
        let value = value.ok_or_else(malformed)?;
        if kind != CAPABILITIES {
            let subcode = match kind {
                AUTHENTICATION => open_message::AUTHENTICATION_FAILURE,
                _ => open_message::UNSUPPORTED_OPTIONAL_PARAMETER,
            };
            return Err(Notification::new(OPEN_MESSAGE, subcode));
        }
        let more = Capability::decode_all(value).map_err(|what| match what {
            Malformed::As => Notification::with_data(OPEN_MESSAGE, open_message::BAD_PEER_AS, [0; 4]),
            Malformed::Other => malformed(),
        });
        capabilities.extend(more?);
    }
    Ok(capabilities)
}

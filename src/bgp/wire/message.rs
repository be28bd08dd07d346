//! Messages of all kinds.

use super::error_code::{OPEN_MESSAGE, ROUTE_REFRESH_MESSAGE, UNSPECIFIC, route_refresh_message};
use super::header::{self, HEADER, begin, finish};
use super::notification::Notification;
use super::open::Open;
use super::options::Options;
use super::reader::Reader;
use super::types::AfiSafi;
use super::update::Update;

/// A message that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most are updates, and few are on their way at a time"
)]
pub enum Message {
    /// The first on a connection.
    Open(Open),
    /// Routes.
    Update(Update),
    /// The last on a connection.
    Notification(Notification),
    /// Still there.
    Keepalive,
    /// Routes are asked for again (RFC 2918, RFC 7313).
    RouteRefresh(AfiSafi, RefreshKind),
}

/// What a ROUTE-REFRESH says (RFC 7313 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshKind {
    /// Send the routes again.
    Request,
    /// Here they begin.
    Begin,
    /// Here they end.
    End,
    /// To be ignored.
    Unknown(u8),
}

impl RefreshKind {
    fn number(self) -> u8 {
        match self {
            RefreshKind::Request => 0,
            RefreshKind::Begin => 1,
            RefreshKind::End => 2,
            RefreshKind::Unknown(number) => number,
        }
    }

    fn of(number: u8) -> RefreshKind {
        match number {
            0 => RefreshKind::Request,
            1 => RefreshKind::Begin,
            2 => RefreshKind::End,
            number => RefreshKind::Unknown(number),
        }
    }
}

/// Reads a message that [`super::frame`] has cut out.
///
/// # Errors
/// What to answer before the session ends.
pub fn decode(message: &[u8], options: &Options) -> Result<Message, Notification> {
    let (header, body) = message.split_at_checked(HEADER).unwrap_or((message, &[]));
    match header.last() {
        Some(&header::OPEN) => Open::decode(body).map(Message::Open),
        Some(&header::UPDATE) => Update::decode(body, options).map(Message::Update),
        Some(&header::NOTIFICATION) => Notification::decode(body)
            .map(Message::Notification)
            .ok_or_else(|| Notification::new(OPEN_MESSAGE, UNSPECIFIC)),
        Some(&header::ROUTE_REFRESH | &header::OLD_ROUTE_REFRESH) => {
            let mut reader = Reader::new(body);
            let parts = (reader.u16(), reader.u8(), reader.u8(), reader.is_empty());
            let (Some(afi), Some(kind), Some(safi), true) = parts else {
                let subcode = route_refresh_message::INVALID_MESSAGE_LENGTH;
                return Err(Notification::with_data(ROUTE_REFRESH_MESSAGE, subcode, message));
            };
            Ok(Message::RouteRefresh(
                AfiSafi { afi, safi },
                RefreshKind::of(kind),
            ))
        }
        _ => Ok(Message::Keepalive),
    }
}

/// Appends a message. Of an UPDATE with more than fits into one, several; see [`super::announce`], which says whether
/// attributes are too long. (Here such routes are left out.)
pub fn encode(message: &Message, options: &Options, out: &mut Vec<u8>) {
    let kind = match message {
        Message::Open(_) => header::OPEN,
        Message::Update(update) => return encode_update(update, options, out),
        Message::Notification(_) => header::NOTIFICATION,
        Message::Keepalive => header::KEEPALIVE,
        Message::RouteRefresh(..) => header::ROUTE_REFRESH,
    };
    let start = begin(kind, out);
    match message {
        Message::Open(open) => open.encode(out),
        Message::Notification(notification) => notification.encode(options, out),
        Message::RouteRefresh(family, kind) => {
            out.extend(family.afi.to_be_bytes());
            out.extend([kind.number(), family.safi]);
        }
        Message::Update(_) | Message::Keepalive => {}
    }
    finish(start, out);
}

fn encode_update(update: &Update, options: &Options, out: &mut Vec<u8>) {
    if let Some(family) = update.end_of_rib {
        super::withdraw(family, [], options, out);
    }
    for (family, nlri) in &update.unreachable {
        super::withdraw(*family, nlri.iter().copied(), options, out);
    }
    if !update.evpn_unreachable.is_empty() {
        super::withdraw_evpn(&update.evpn_unreachable, options, out);
    }
    if let Some((next_hop, nlri)) = &update.evpn_reachable {
        let _ = super::announce_evpn(*next_hop, &update.attributes, nlri, options, out);
    }
    for reach in &update.reachable {
        let nlri = reach.nlri.iter().copied();
        let _ = super::announce(
            reach.family,
            reach.next_hop,
            &update.attributes,
            nlri,
            options,
            out,
        );
    }
}

//! NOTIFICATION (RFC 4271 section 4.5).

use std::fmt;

use super::error_code::{self, CEASE, HOLD_TIMER_EXPIRED, UPDATE_MESSAGE, cease};
use super::header::{HEADER, longest};
use super::options::Options;
use super::reader::Reader;

/// The text's length is one octet (RFC 9003 section 2).
const LONGEST_TEXT: usize = 255;

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notification {
    /// Error code, one of [`error_code`].
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// Data, whose form depends on code and subcode.
    pub data: Vec<u8>,
}

impl Notification {
    /// One without data.
    pub fn new(code: u8, subcode: u8) -> Self {
        Notification {
            code,
            subcode,
            data: Vec::new(),
        }
    }

    /// One with data.
    pub fn with_data(code: u8, subcode: u8, data: impl Into<Vec<u8>>) -> Self {
        Notification {
            code,
            subcode,
            data: data.into(),
        }
    }

    /// Nothing was heard for the hold time (RFC 4271 section 6.5).
    pub fn hold_timer_expired() -> Self {
        Notification::new(HOLD_TIMER_EXPIRED, error_code::UNSPECIFIC)
    }

    /// Cease (RFC 4486).
    pub fn cease(subcode: u8) -> Self {
        Notification::new(CEASE, subcode)
    }

    /// An UPDATE Message Error (RFC 4271 section 6.3).
    pub(super) fn update(subcode: u8) -> Self {
        Notification::new(UPDATE_MESSAGE, subcode)
    }

    /// Cease with a text for the other side's operator, for Administrative Shutdown and Administrative Reset;
    /// what is longer than 255 bytes is cut off (RFC 9003 section 2).
    pub fn shutdown(subcode: u8, text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(LONGEST_TEXT)];
        let mut data = Vec::with_capacity(1 + text.len());
        data.push(text.len() as u8);
        data.extend_from_slice(text.as_bytes());
        Notification::with_data(CEASE, subcode, data)
    }

    /// The text that came with Administrative Shutdown or Administrative Reset, hard or not (RFC 9003
    /// section 2). What is not UTF-8 and what could move a terminal's cursor is replaced.
    pub fn shutdown_message(&self) -> Option<String> {
        if let Some(inner) = self.inner() {
            // No deeper: a hard reset within a hard reset has no text.
            return inner.text();
        }
        self.text()
    }

    fn text(&self) -> Option<String> {
        let spoken = [cease::ADMINISTRATIVE_SHUTDOWN, cease::ADMINISTRATIVE_RESET];
        if self.code != CEASE || !spoken.contains(&self.subcode) {
            return None;
        }
        let text = String::from_utf8_lossy(Reader::new(&self.data).counted8()?);
        let printable = |c: char| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        };
        (!text.is_empty()).then(|| text.chars().map(printable).collect())
    }

    /// The same as a hard reset: the other side does not keep our routes over a graceful restart (RFC 8538
    /// section 3).
    #[must_use]
    pub fn hard_reset(self) -> Self {
        let mut data = vec![self.code, self.subcode];
        data.extend(self.data);
        Notification::with_data(CEASE, cease::HARD_RESET, data)
    }

    /// Whether it is a hard reset (RFC 8538 section 3).
    pub fn is_hard_reset(&self) -> bool {
        (self.code, self.subcode) == (CEASE, cease::HARD_RESET)
    }

    /// What a hard reset carries (RFC 8538 section 3).
    pub fn inner(&self) -> Option<Notification> {
        if !self.is_hard_reset() {
            return None;
        }
        Notification::decode(&self.data)
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let [code, subcode] = reader.array()?;
        Some(Notification::with_data(code, subcode, reader.rest()))
    }

    /// Data that the longest message has no room for is left out; it is there for people.
    pub(super) fn encode(&self, options: &Options, out: &mut Vec<u8>) {
        let room = longest(options) - HEADER - 2;
        out.extend([self.code, self.subcode]);
        out.extend_from_slice(&self.data[..self.data.len().min(room)]);
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(error_code::name(self.code))?;
        f.write_str(error_code::subcode_name(self.code, self.subcode))
    }
}

impl std::error::Error for Notification {}

#[cfg(test)]
mod tests {
    use super::super::error_code::*;
    use super::*;

    #[test]
    fn shown_in_the_words_of_frr() {
        for (code, subcode, words) in [
            (
                CEASE,
                cease::ADMINISTRATIVE_SHUTDOWN,
                "Cease/Administrative Shutdown",
            ),
            (CEASE, cease::PEER_DE_CONFIGURED, "Cease/Peer De-configured"),
            (CEASE, 0, "Cease/Unspecific"),
            (HOLD_TIMER_EXPIRED, 0, "Hold Timer Expired"),
            (
                OPEN_MESSAGE,
                open_message::BAD_PEER_AS,
                "OPEN Message Error/Bad Peer AS",
            ),
            (UPDATE_MESSAGE, 11, "UPDATE Message Error/Malformed AS_PATH"),
            (
                MESSAGE_HEADER,
                1,
                "Message Header Error/Connection Not Synchronized",
            ),
            (
                FINITE_STATE_MACHINE,
                3,
                "Neighbor Events Error/Receive Unexpected Message in Established State",
            ),
            (
                ROUTE_REFRESH_MESSAGE,
                1,
                "ROUTE-REFRESH Message Error/Invalid Message Length",
            ),
            (99, 0, "Unrecognized Error Code"),
        ] {
            assert_eq!(Notification::new(code, subcode).to_string(), words);
        }
    }

    #[test]
    fn every_named_subcode_has_words() {
        for (code, most) in [(1, 3), (2, 4), (3, 6), (5, 3), (6, 10), (7, 1)] {
            for subcode in 1..=most {
                assert!(subcode_name(code, subcode).starts_with('/'), "{code}/{subcode}");
            }
        }
        assert!(!subcode_name(6, 11).starts_with('/'));
    }

    #[test]
    fn shutdown_messages_are_written_and_read() {
        let said = Notification::shutdown(cease::ADMINISTRATIVE_SHUTDOWN, "back at noon");
        assert_eq!(said.data[..5], [12, b'b', b'a', b'c', b'k']);
        assert_eq!(said.shutdown_message().unwrap(), "back at noon");
        assert_eq!(
            said.clone().hard_reset().shutdown_message().unwrap(),
            "back at noon"
        );
        let long = Notification::shutdown(cease::ADMINISTRATIVE_RESET, &"ä".repeat(200));
        assert_eq!((long.data.len(), long.data[0]), (255, 254));
        assert_eq!(Notification::cease(2).shutdown_message(), None);
        assert_eq!(Notification::shutdown(3, "x").shutdown_message(), None);
    }

    #[test]
    fn strange_shutdown_messages_do_no_harm() {
        let read = |data: &[u8]| Notification::with_data(CEASE, 2, data).shutdown_message();
        assert_eq!(read(&[3, b'a', 0xff, 0x1b]).unwrap(), "a\u{fffd}\u{fffd}");
        assert_eq!(read(&[9, b'a']), None);
        assert_eq!(read(&[0]), None);
    }

    #[test]
    fn hard_resets_carry_another() {
        let hard = Notification::hold_timer_expired().hard_reset();
        assert_eq!((hard.code, hard.subcode, &hard.data[..]), (6, 9, &[4, 0][..]));
        assert_eq!(hard.inner(), Some(Notification::hold_timer_expired()));
        assert_eq!(Notification::cease(9).inner(), None);
        assert_eq!(Notification::cease(2).inner(), None);
    }
}

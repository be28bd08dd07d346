//! BGP messages as bytes (RFC 4271 section 4 and its extensions). Pure.
//!
//! A byte stream is cut into messages by [`frame`]; a message is read by [`decode`] and written by [`encode`]; many
//! prefixes with the same attributes are written by [`announce`] and [`withdraw`]. What the two sides agreed on in
//! their OPENs is in [`Options`]. A message that cannot be used is answered with the [`Notification`] in the error; of
//! an UPDATE as much is used as RFC 7606 allows.

mod as_path;
mod attributes;
mod capability;
mod community;
pub mod error_code;
mod extended_community;
pub(crate) mod header;
mod message;
mod nlri;
mod notification;
mod open;
mod options;
mod path_attribute;
mod reader;
mod types;
mod update;
mod writer;

#[cfg(test)]
mod tests;

pub use as_path::{AsPath, Segment};
pub use attributes::{Attributes, RawAttribute};
pub use capability::{Capability, GracefulRestart};
pub use community::{Community, LargeCommunity};
pub use extended_community::ExtendedCommunity;
pub use header::{HEADER, LONGEST, LONGEST_EXTENDED, frame};
pub use message::{Message, RefreshKind, decode, encode};
pub use nlri::Nlri;
pub use notification::Notification;
pub use open::Open;
pub use options::{Options, PerFamily};
pub use types::{AS_TRANS, AfiSafi, Family, NextHop, NotThat, Origin};
pub use update::{Reach, Update};
pub use writer::{TooLong, announce, announce_encoded, decode_path, encode_path, withdraw};

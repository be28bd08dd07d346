//! The names of a Kubernetes cluster, as its DNS server answers for them (Kubernetes' DNS-based service discovery, version
//! 1.1.0), and the messages of DNS (RFC 1035). Pure.

pub mod names;
mod reverse;
pub mod wire;

#[cfg(test)]
mod tests;

pub use crate::lab::DOMAIN;
pub use names::{Contents, Endpoint, Port, Service, Zone};
pub use reverse::address as address_of;

use wire::{Message, Query, Rcode};

/// The port of DNS.
pub const PORT: u16 = 53;

/// What is to be done about a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// This is the answer.
    Answer(Message),
    /// The name stands for another one, which is not the cluster's: the answer begins so.
    Alias(Message, wire::Name),
    /// The name is not the cluster's.
    Elsewhere,
}

/// Judges a question by what is known of the cluster.
pub fn judge(zone: &Zone, query: &Query) -> Verdict {
    if query.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        return Verdict::Answer(Message::failure(Rcode::BadVersion));
    }
    match query.class {
        wire::CLASS_IN | wire::CLASS_ANY => zone.answer(query),
        _ => Verdict::Answer(Message::failure(Rcode::Refused)),
    }
}

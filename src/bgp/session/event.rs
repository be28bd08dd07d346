//! What a session is told, what it wants done, and the states it is in.

use super::Agreement;
use crate::wire::{Message, Notification};

/// A state of the FSM, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Resting, or shut down.
    Idle,
    /// Dialling.
    Connect,
    /// Waiting for a connection.
    Active,
    /// An OPEN was sent.
    OpenSent,
    /// OPENs were exchanged.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl State {
    /// Its name in FRR's tables.
    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "Idle",
            State::Connect => "Connect",
            State::Active => "Active",
            State::OpenSent => "OpenSent",
            State::OpenConfirm => "OpenConfirm",
            State::Established => "Established",
        }
    }
}

/// A TCP connection, numbered by whoever has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What happens to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It may begin: it is not shut down, and there is a way to the neighbor.
    Start,
    /// It is to end, and not to begin again by itself.
    Stop(Notification),
    /// The neighbor opened a connection.
    Accepted(ConnectionId),
    /// A connection that was dialled is open.
    Dialled(ConnectionId),
    /// Dialling failed.
    DialFailed,
    /// A connection is over.
    Closed(ConnectionId),
    /// What came on a connection is no BGP.
    Broken(ConnectionId, Notification),
    /// Whether octets that are to be sent on a connection have been stuck for a while.
    Stuck(ConnectionId, bool),
    /// Only time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most are updates, and few are on their way at a time"
)]
pub enum Action {
    /// Open a connection; answered by `Dialled` or `DialFailed`. One that is being opened already is given up for it.
    Dial,
    /// Give up the one that is being opened.
    HangUp,
    /// Send a message.
    Send(ConnectionId, Message),
    /// Close a connection once all is sent. It is not to be heard of again.
    Close(ConnectionId),
    /// The session is up.
    Up(ConnectionId, Box<Agreement>),
    /// The session is down.
    Down(Reason),
}

/// Why a session went down, or a connection did not become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// This side said why.
    Sent(Notification),
    /// The other side said why.
    Received(Notification),
    /// The connection ended without a word.
    Closed,
}

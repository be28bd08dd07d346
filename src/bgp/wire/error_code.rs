//! Error codes and subcodes of NOTIFICATION messages (RFC 4271 section 4.5), and FRR's names for them.

/// Message Header Error (RFC 4271 section 6.1).
pub const MESSAGE_HEADER: u8 = 1;
/// OPEN Message Error (RFC 4271 section 6.2).
pub const OPEN_MESSAGE: u8 = 2;
/// UPDATE Message Error (RFC 4271 section 6.3).
pub const UPDATE_MESSAGE: u8 = 3;
/// Hold Timer Expired (RFC 4271 section 6.5).
pub const HOLD_TIMER_EXPIRED: u8 = 4;
/// Finite State Machine Error (RFC 4271 section 6.6).
pub const FINITE_STATE_MACHINE: u8 = 5;
/// Cease (RFC 4271 section 6.7).
pub const CEASE: u8 = 6;
/// ROUTE-REFRESH Message Error (RFC 7313 section 5).
pub const ROUTE_REFRESH_MESSAGE: u8 = 7;
/// Send Hold Timer Expired (RFC 9687 section 4).
pub const SEND_HOLD_TIMER_EXPIRED: u8 = 8;

/// The error has no subcode of its own.
pub const UNSPECIFIC: u8 = 0;

/// Subcodes of Message Header Error (RFC 4271 section 6.1).
pub mod message_header {
    /// The marker is not all ones.
    pub const CONNECTION_NOT_SYNCHRONIZED: u8 = 1;
    /// The length is not one that such a message can have.
    pub const BAD_MESSAGE_LENGTH: u8 = 2;
    /// The type is not known.
    pub const BAD_MESSAGE_TYPE: u8 = 3;
}

/// Subcodes of OPEN Message Error (RFC 4271 section 6.2, RFC 5492 section 5, RFC 9234 section 4.2).
pub mod open_message {
    /// Another version than 4.
    pub const UNSUPPORTED_VERSION_NUMBER: u8 = 1;
    /// Another AS than the configured one, or one that cannot be.
    pub const BAD_PEER_AS: u8 = 2;
    /// The BGP Identifier is zero, or our own within our AS (RFC 6286 section 2.2).
    pub const BAD_BGP_IDENTIFIER: u8 = 3;
    /// An optional parameter is not known.
    pub const UNSUPPORTED_OPTIONAL_PARAMETER: u8 = 4;
    /// Authentication is wanted in a way that is not there any more (RFC 4271 appendix A).
    pub const AUTHENTICATION_FAILURE: u8 = 5;
    /// A hold time of one or two seconds, or another one that is refused.
    pub const UNACCEPTABLE_HOLD_TIME: u8 = 6;
    /// A capability is missing that we insist on.
    pub const UNSUPPORTED_CAPABILITY: u8 = 7;
    /// The roles of both sides do not fit.
    pub const ROLE_MISMATCH: u8 = 11;
}

/// Subcodes of UPDATE Message Error (RFC 4271 section 6.3).
pub mod update_message {
    /// Lengths that do not fit, or an attribute twice.
    pub const MALFORMED_ATTRIBUTE_LIST: u8 = 1;
    /// A well-known attribute is not known.
    pub const UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE: u8 = 2;
    /// A mandatory attribute is not there.
    pub const MISSING_WELL_KNOWN_ATTRIBUTE: u8 = 3;
    /// Flags that do not fit the attribute.
    pub const ATTRIBUTE_FLAGS: u8 = 4;
    /// A length that does not fit the attribute.
    pub const ATTRIBUTE_LENGTH: u8 = 5;
    /// An undefined ORIGIN.
    pub const INVALID_ORIGIN_ATTRIBUTE: u8 = 6;
    /// A NEXT_HOP that is no host's address.
    pub const INVALID_NEXT_HOP_ATTRIBUTE: u8 = 8;
    /// The value of an optional attribute is wrong.
    pub const OPTIONAL_ATTRIBUTE: u8 = 9;
    /// Prefixes that cannot be read.
    pub const INVALID_NETWORK_FIELD: u8 = 10;
    /// An AS_PATH that cannot be read.
    pub const MALFORMED_AS_PATH: u8 = 11;
}

/// Subcodes of Finite State Machine Error (RFC 6608 section 4).
pub mod finite_state_machine {
    /// Receive Unexpected Message in OpenSent State.
    pub const UNEXPECTED_IN_OPEN_SENT: u8 = 1;
    /// Receive Unexpected Message in OpenConfirm State.
    pub const UNEXPECTED_IN_OPEN_CONFIRM: u8 = 2;
    /// Receive Unexpected Message in Established State.
    pub const UNEXPECTED_IN_ESTABLISHED: u8 = 3;
}

/// Subcodes of Cease (RFC 4486 section 3, RFC 8538 section 3, RFC 9384 section 3).
pub mod cease {
    /// More prefixes than the configured limit; the data is AFI, SAFI and limit.
    pub const MAXIMUM_NUMBER_OF_PREFIXES_REACHED: u8 = 1;
    /// Shut down by the administrator; the data is a text (RFC 9003 section 2).
    pub const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
    /// The peer is no longer configured.
    pub const PEER_DE_CONFIGURED: u8 = 3;
    /// Reset by the administrator; the data is a text (RFC 9003 section 2).
    pub const ADMINISTRATIVE_RESET: u8 = 4;
    /// The connection was accepted, and is not wanted after all.
    pub const CONNECTION_REJECTED: u8 = 5;
    /// The configuration has changed.
    pub const OTHER_CONFIGURATION_CHANGE: u8 = 6;
    /// The other one of two connections stays (RFC 4271 section 6.8).
    pub const CONNECTION_COLLISION_RESOLUTION: u8 = 7;
    /// Memory or the like has run out.
    pub const OUT_OF_RESOURCES: u8 = 8;
    /// No graceful restart; the data is the true NOTIFICATION (RFC 8538 section 3).
    pub const HARD_RESET: u8 = 9;
    /// BFD says that the peer is gone.
    pub const BFD_DOWN: u8 = 10;
}

/// Subcodes of ROUTE-REFRESH Message Error (RFC 7313 section 5).
pub mod route_refresh_message {
    /// The length does not fit the subtype; the data is the message.
    pub const INVALID_MESSAGE_LENGTH: u8 = 1;
}

/// The code in FRR's words.
pub(super) fn name(code: u8) -> &'static str {
    match code {
        MESSAGE_HEADER => "Message Header Error",
        OPEN_MESSAGE => "OPEN Message Error",
        UPDATE_MESSAGE => "UPDATE Message Error",
        HOLD_TIMER_EXPIRED => "Hold Timer Expired",
        FINITE_STATE_MACHINE => "Neighbor Events Error",
        CEASE => "Cease",
        ROUTE_REFRESH_MESSAGE => "ROUTE-REFRESH Message Error",
        SEND_HOLD_TIMER_EXPIRED => "Send Hold Timer Expired",
        _ => "Unrecognized Error Code",
    }
}

/// The subcode in FRR's words, to be put right behind the code; a slash is part of them.
pub(super) fn subcode_name(code: u8, subcode: u8) -> &'static str {
    let name = match code {
        MESSAGE_HEADER => message_header_name(subcode),
        OPEN_MESSAGE => open_message_name(subcode),
        UPDATE_MESSAGE => update_message_name(subcode),
        FINITE_STATE_MACHINE => finite_state_machine_name(subcode),
        CEASE => cease_name(subcode),
        ROUTE_REFRESH_MESSAGE => route_refresh_message_name(subcode),
        _ => return "",
    };
    match (name, subcode) {
        (Some(name), _) => name,
        (None, UNSPECIFIC) if code != MESSAGE_HEADER => "/Unspecific",
        (None, _) => "Unrecognized Error Subcode",
    }
}

fn message_header_name(subcode: u8) -> Option<&'static str> {
    Some(match subcode {
        message_header::CONNECTION_NOT_SYNCHRONIZED => "/Connection Not Synchronized",
        message_header::BAD_MESSAGE_LENGTH => "/Bad Message Length",
        message_header::BAD_MESSAGE_TYPE => "/Bad Message Type",
        _ => return None,
    })
}

fn open_message_name(subcode: u8) -> Option<&'static str> {
    Some(match subcode {
        open_message::UNSUPPORTED_VERSION_NUMBER => "/Unsupported Version Number",
        open_message::BAD_PEER_AS => "/Bad Peer AS",
        open_message::BAD_BGP_IDENTIFIER => "/Bad BGP Identifier",
        open_message::UNSUPPORTED_OPTIONAL_PARAMETER => "/Unsupported Optional Parameter",
        open_message::AUTHENTICATION_FAILURE => "/Authentication Failure",
        open_message::UNACCEPTABLE_HOLD_TIME => "/Unacceptable Hold Time",
        open_message::UNSUPPORTED_CAPABILITY => "/Unsupported Capability",
        open_message::ROLE_MISMATCH => "/Role Mismatch",
        _ => return None,
    })
}

fn update_message_name(subcode: u8) -> Option<&'static str> {
    Some(match subcode {
        update_message::MALFORMED_ATTRIBUTE_LIST => "/Malformed Attribute List",
        update_message::UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE => "/Unrecognized Well-known Attribute",
        update_message::MISSING_WELL_KNOWN_ATTRIBUTE => "/Missing Well-known Attribute",
        update_message::ATTRIBUTE_FLAGS => "/Attribute Flags Error",
        update_message::ATTRIBUTE_LENGTH => "/Attribute Length Error",
        update_message::INVALID_ORIGIN_ATTRIBUTE => "/Invalid ORIGIN Attribute",
        update_message::INVALID_NEXT_HOP_ATTRIBUTE => "/Invalid NEXT_HOP Attribute",
        update_message::OPTIONAL_ATTRIBUTE => "/Optional Attribute Error",
        update_message::INVALID_NETWORK_FIELD => "/Invalid Network Field",
        update_message::MALFORMED_AS_PATH => "/Malformed AS_PATH",
        _ => return None,
    })
}

fn finite_state_machine_name(subcode: u8) -> Option<&'static str> {
    Some(match subcode {
        finite_state_machine::UNEXPECTED_IN_OPEN_SENT => "/Receive Unexpected Message in OpenSent State",
        finite_state_machine::UNEXPECTED_IN_OPEN_CONFIRM => {
            "/Receive Unexpected Message in OpenConfirm State"
        }
        finite_state_machine::UNEXPECTED_IN_ESTABLISHED => "/Receive Unexpected Message in Established State",
        _ => return None,
    })
}

fn cease_name(subcode: u8) -> Option<&'static str> {
    Some(match subcode {
        cease::MAXIMUM_NUMBER_OF_PREFIXES_REACHED => "/Maximum Number of Prefixes Reached",
        cease::ADMINISTRATIVE_SHUTDOWN => "/Administrative Shutdown",
        cease::PEER_DE_CONFIGURED => "/Peer De-configured",
        cease::ADMINISTRATIVE_RESET => "/Administrative Reset",
        cease::CONNECTION_REJECTED => "/Connection Rejected",
        cease::OTHER_CONFIGURATION_CHANGE => "/Other Configuration Change",
        cease::CONNECTION_COLLISION_RESOLUTION => "/Connection Collision Resolution",
        cease::OUT_OF_RESOURCES => "/Out of Resources",
        cease::HARD_RESET => "/Hard Reset",
        cease::BFD_DOWN => "/BFD Down",
        _ => return None,
    })
}

fn route_refresh_message_name(subcode: u8) -> Option<&'static str> {
    match subcode {
        route_refresh_message::INVALID_MESSAGE_LENGTH => Some("/Invalid Message Length"),
        _ => None,
    }
}

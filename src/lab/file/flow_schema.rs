//! The JSON Schema of `[[flows]]`; see [`super::schema`].

use schemars::JsonSchema;

use super::schema::{Duration, Scalar};

/// A flow: numbered packets from one node to another, of which it is known what becomes of them.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct FlowTable {
    /// Its name.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = "^[A-Za-z0-9_.:][A-Za-z0-9_.:-]*$")
    )]
    name: String,
    /// Who sends: NODE or NODE:INTERFACE.
    from: String,
    /// Who receives: NODE, NODE:INTERFACE, or an address.
    to: String,
    /// What the packets are: udp (the default), tcp or icmp.
    proto: Option<ProtoWord>,
    /// Packets a second (default 100); without it, a flow of tcp is a transfer as fast as it goes.
    #[schemars(range(min = 1, max = 100000))]
    pps: Option<u32>,
    /// Bytes of a packet behind the headers of IP and of the protocol (default 64).
    #[schemars(range(min = 24, max = 65507))]
    size: Option<u32>,
    /// The code point of differentiated services (default 0): a number up to 63, or a name as ef, cs6, af41.
    dscp: Option<Scalar>,
    /// The address family, 4 or 6; without it, IPv4 where both ends have it.
    #[schemars(range(min = 4, max = 6))]
    family: Option<u8>,
    /// The receiver's port; without it, one that follows from the name.
    #[schemars(range(min = 1, max = 65535))]
    port: Option<u16>,
    /// What takes longer is late, and what has not arrived by then is lost (default 1s).
    late_after: Option<Duration>,
    /// Whether it starts when the lab is ready (default false: scenarios and `nslab flow start` start it).
    start: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum ProtoWord {
    Udp,
    Tcp,
    Icmp,
}

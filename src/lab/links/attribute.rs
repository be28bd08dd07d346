//! Netlink attributes as data: number, and value (netlink(7)).

/// An attribute. Numbers are in the host's order of octets unless their name says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// One octet.
    U8(u16, u8),
    /// Two.
    U16(u16, u16),
    /// Two, in the network's order.
    Be16(u16, u16),
    /// Four.
    U32(u16, u32),
    /// Four, in the network's order.
    Be32(u16, u32),
    /// Eight.
    U64(u16, u64),
    /// Any.
    Octets(u16, Vec<u8>),
    /// Others.
    Nest(u16, Vec<Attribute>),
}

impl Attribute {
    /// An address, whose family its length tells.
    pub fn ip(number: u16, address: std::net::IpAddr) -> Attribute {
        Attribute::Octets(
            number,
            match address {
                std::net::IpAddr::V4(address) => address.octets().to_vec(),
                std::net::IpAddr::V6(address) => address.octets().to_vec(),
            },
        )
    }
}

/// NLA_F_NESTED.
const NESTED: u16 = 0x8000;
const HEADER: usize = 4;

/// Attributes as the kernel reads them.
pub fn encode(attributes: &[Attribute]) -> Vec<u8> {
    let mut octets = Vec::new();
    for attribute in attributes {
        let (number, value) = match attribute {
            Attribute::U8(number, value) => (*number, vec![*value]),
            Attribute::U16(number, value) => (*number, value.to_ne_bytes().to_vec()),
            Attribute::Be16(number, value) => (*number, value.to_be_bytes().to_vec()),
            Attribute::U32(number, value) => (*number, value.to_ne_bytes().to_vec()),
            Attribute::Be32(number, value) => (*number, value.to_be_bytes().to_vec()),
            Attribute::U64(number, value) => (*number, value.to_ne_bytes().to_vec()),
            Attribute::Octets(number, value) => (*number, value.clone()),
            Attribute::Nest(number, inner) => (number | NESTED, encode(inner)),
        };
        // Nothing here comes near 64 KiB: lists of peers are sent in parts.
        let length = u16::try_from(value.len() + HEADER).unwrap_or(u16::MAX);
        octets.extend(length.to_ne_bytes());
        octets.extend(number.to_ne_bytes());
        octets.extend(value);
        octets.resize(octets.len().next_multiple_of(4), 0);
    }
    octets
}

//! An expression as it is written.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Which bytes of the text something is.
pub type Span = Range<usize>;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// All are true.
    And(Vec<Expression>),
    /// One is true.
    Or(Vec<Expression>),
    /// It is not true.
    Not(Box<Expression>),
    /// A single condition, with its place.
    Primitive(Primitive, Span),
}

/// A protocol that has a word of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Whatever the link is.
    Ether,
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Ah,
    Esp,
    Iso,
    Isis,
    Esis,
    Clnp,
    Stp,
}

/// Which end of a packet's way is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Source,
    Destination,
    Either,
    Both,
}

/// What kind of a value follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Nothing is said.
    Default,
    Host,
    Net,
    Port,
    PortRange,
    Proto,
}

/// What stands before a value, and holds for those that follow it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qualifiers {
    pub protocol: Option<Protocol>,
    pub end: Option<End>,
    pub kind: ValueKind,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(u32),
    /// `80-90`, or of names.
    Range(u16, u16),
    /// The first two to four parts of an IPv4 address.
    Dotted(Vec<u8>),
    V4Net(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr),
    V6Net(Ipv6Addr, u8),
    Mac([u8; 6]),
}

/// A condition that is no combination of others.
#[derive(Debug, Clone, PartialEq)]
pub enum Primitive {
    /// `src host 10.0.0.1`
    Value(Qualifiers, Value),
    /// `tcp`
    Protocol(Protocol),
    /// `ether broadcast`
    Broadcast(Option<Protocol>),
    /// `ip multicast`
    Multicast(Option<Protocol>),
    /// `less 100`
    Less(u32),
    /// `greater 100`
    Greater(u32),
    /// `inbound`
    Inbound,
    /// `outbound`
    Outbound,
    /// `vlan 7`
    Vlan(Option<u32>),
    /// `mpls 7`
    Mpls(Option<u32>),
    /// `ip[0] & 0xf > 5`
    Relation(Box<Arithmetic>, Relation, Box<Arithmetic>),
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A number that may come from the packet, with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Arithmetic {
    pub what: Term,
    pub at: Span,
}

/// What a number is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    Number(u32),
    /// The packet's length.
    Length,
    /// `tcp[13:1]`: from the header of a protocol, at a place, so many bytes.
    Load(Protocol, Box<Arithmetic>, u32),
    Negative(Box<Arithmetic>),
    Binary(Operator, Box<Arithmetic>, Box<Arithmetic>),
}

/// An operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

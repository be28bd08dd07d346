//! Rules, put together from nf_tables' expressions.
//!
//! The numbers of attributes below are those of the expressions' own enums in linux/netfilter/nf_tables.h, in their order:
//! NFTA_META_DREG is 1, NFTA_META_KEY 2, and so on.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::attributes::{Attributes, NLA_F_NESTED};
use super::{Change, Family, NEWRULE, NLM_F_APPEND, NLM_F_CREATE};

/// A rule: conditions, and what happens where all of them hold.
#[derive(Default, Clone)]
pub struct Rule {
    expressions: Attributes,
    comment: Option<String>,
}

/// Keys of the meta expression (NFT_META_*).
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
/// Headers of the payload expression (NFT_PAYLOAD_*).
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// Keys of the ct expression (NFT_CT_*).
const CT_STATUS: u32 = 2;
const CT_PROTO_DST: u32 = 12;
const CT_DST_IP: u32 = 20;
const CT_DST_IP6: u32 = 22;
/// A connection whose packets are led elsewhere (IPS_DST_NAT), in the CPU's own byte order.
const IPS_DST_NAT: u32 = 1 << 5;
/// The fib expression: what it answers (NFT_FIB_RESULT_ADDRTYPE), and about what (NFTA_FIB_F_DADDR).
const FIB_RESULT_ADDRTYPE: u32 = 3;
const FIB_DESTINATION: u32 = 2;
/// Where the hashes of sources begin.
const HASH_SEED: u32 = 0x6e73_6c61;
/// NFT_NG_RANDOM
const NUMGEN_RANDOM: u32 = 1;
/// NFT_NAT_DNAT
const NAT_DESTINATION: u32 = 1;
/// NFT_REJECT_ICMPX_UNREACH, which fits both families, and NFT_REJECT_ICMPX_PORT_UNREACH.
const REJECT_BY_ICMP: u32 = 2;
const REJECT_PORT: u8 = 1;
/// Operators of comparisons (NFT_CMP_*).
const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;
/// The register conditions are put through (NFT_REG_1).
const REGISTER: u32 = 1;
/// Another, beside it (NFT_REG_2).
const SECOND_REGISTER: u32 = 2;
pub(super) const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
/// Connection tracking's states as the `ct` expression gives them, in the CPU's own byte order.
const CT_INVALID_OR_NEW: u32 = 1 | 8;

impl Rule {
    /// A rule for all packets.
    pub fn new() -> Rule {
        Rule::default()
    }

    /// A sentence kept with the rule, by which it is found again.
    #[must_use]
    pub fn comment(mut self, comment: &str) -> Rule {
        self.comment = Some(comment.to_owned());
        self
    }

    /// Only packets that came in by this interface. A `*` at the end stands for anything.
    #[must_use]
    pub fn from_interface(self, name: &str) -> Rule {
        self.interface(META_IIFNAME, EQUAL, name)
    }

    /// Only packets that came in by another.
    #[must_use]
    pub fn not_from_interface(self, name: &str) -> Rule {
        self.interface(META_IIFNAME, UNEQUAL, name)
    }

    /// Only packets that go out by this interface.
    #[must_use]
    pub fn to_interface(self, name: &str) -> Rule {
        self.interface(META_OIFNAME, EQUAL, name)
    }

    /// Only packets that go out by another.
    #[must_use]
    pub fn not_to_interface(self, name: &str) -> Rule {
        self.interface(META_OIFNAME, UNEQUAL, name)
    }

    /// Only IPv4 packets, or only IPv6 ones.
    #[must_use]
    pub fn family(mut self, v4: bool) -> Rule {
        let family = if v4 { Family::Ip } else { Family::Ip6 };
        self.meta(META_NFPROTO);
        self.compare(EQUAL, &[family as u8]);
        self
    }

    /// Only packets with this source.
    #[must_use]
    pub fn source(self, address: IpAddr) -> Rule {
        let mut rule = self.family(address.is_ipv4());
        // Offsets of the source in the IPv4 header (RFC 791) and the IPv6 header (RFC 8200).
        match address {
            IpAddr::V4(address) => rule.network_header(12, &address.octets()),
            IpAddr::V6(address) => rule.network_header(8, &address.octets()),
        }
        rule
    }

    /// Only packets with this destination.
    #[must_use]
    pub fn destination(self, address: IpAddr) -> Rule {
        let mut rule = self.family(address.is_ipv4());
        match address {
            IpAddr::V4(address) => rule.network_header(16, &address.octets()),
            IpAddr::V6(address) => rule.network_header(24, &address.octets()),
        }
        rule
    }

    /// Only packets to an address of this network namespace's own.
    #[must_use]
    pub fn to_itself(mut self) -> Rule {
        self.expression("fib", |body| {
            body.word(1, REGISTER);
            body.word(2, FIB_RESULT_ADDRTYPE);
            body.word(3, FIB_DESTINATION);
        });
        // In the CPU's own byte order.
        self.compare(EQUAL, &u32::from(libc::RTN_LOCAL).to_ne_bytes());
        self
    }

    /// Only packets of a protocol that has ports, by its number, to one of them.
    #[must_use]
    pub fn port(mut self, protocol: u8, port: u16) -> Rule {
        self.meta(META_L4PROTO);
        self.compare(EQUAL, &[protocol]);
        // The destination stands behind the source in all of them (RFC 768, RFC 9293, RFC 9260).
        self.load(TRANSPORT_HEADER, 2, 2);
        self.compare(EQUAL, &port.to_be_bytes());
        self
    }

    /// Only one in so many packets, by chance.
    #[must_use]
    pub fn one_in(mut self, count: u32) -> Rule {
        if count > 1 {
            self.expression("numgen", |body| {
                body.word(1, REGISTER);
                body.word(2, count);
                body.word(3, NUMGEN_RANDOM);
            });
            self.compare(EQUAL, &[0; 4]);
        }
        self
    }

    /// Only packets of sources that are in this of so many parts, each about as large as the others; `v4` tells the family, which
    /// must be the packets'.
    #[must_use]
    pub fn of_source(mut self, part: usize, count: usize, v4: bool) -> Rule {
        let (Ok(part), Ok(count)) = (u32::try_from(part), u32::try_from(count)) else {
            return self;
        };
        if count < 2 {
            return self;
        }
        let (offset, length) = if v4 { (12, 4) } else { (8, 16) };
        self.payload(offset, length);
        self.expression("hash", |body| {
            body.word(1, REGISTER);
            body.word(2, REGISTER);
            body.word(3, length);
            body.word(4, count);
            // NFT_HASH_JENKINS, always from the same beginning: every node has the same parts.
            body.word(5, HASH_SEED);
            body.word(7, 0);
        });
        self.compare(EQUAL, &part.to_ne_bytes());
        self
    }

    /// Only packets of connections that were led elsewhere than they were sent to.
    #[must_use]
    pub fn led(mut self) -> Rule {
        self.expression("ct", |body| {
            body.word(1, REGISTER);
            body.word(2, CT_STATUS);
        });
        self.expression("bitwise", |body| {
            body.word(1, REGISTER);
            body.word(2, REGISTER);
            body.word(3, 4);
            body.nest(4, |body| body.put(1, &IPS_DST_NAT.to_ne_bytes()));
            body.nest(5, |body| body.put(1, &[0; 4]));
        });
        self.compare(UNEQUAL, &[0; 4]);
        self
    }

    /// Only packets of connections that were opened to this address.
    #[must_use]
    pub fn first_destination(mut self, address: IpAddr) -> Rule {
        match address {
            IpAddr::V4(address) => self.connection(CT_DST_IP, &address.octets()),
            IpAddr::V6(address) => self.connection(CT_DST_IP6, &address.octets()),
        }
        self
    }

    /// Only packets of connections of a protocol, by its number, that were opened to this port.
    #[must_use]
    pub fn first_port(mut self, protocol: u8, port: u16) -> Rule {
        self.meta(META_L4PROTO);
        self.compare(EQUAL, &[protocol]);
        self.connection(CT_PROTO_DST, &port.to_be_bytes());
        self
    }

    /// They go to another destination, and answers to them come from where they were sent to.
    #[must_use]
    pub fn lead_to(mut self, to: SocketAddr) -> Rule {
        match to.ip() {
            IpAddr::V4(address) => self.set(REGISTER, &address.octets()),
            IpAddr::V6(address) => self.set(REGISTER, &address.octets()),
        }
        self.set(SECOND_REGISTER, &to.port().to_be_bytes());
        let family = if to.is_ipv4() { Family::Ip } else { Family::Ip6 };
        self.expression("nat", |body| {
            body.word(1, NAT_DESTINATION);
            body.word(2, family as u32);
            body.word(3, REGISTER);
            body.word(5, SECOND_REGISTER);
        });
        self
    }

    /// They are refused: the port cannot be reached (ICMP).
    #[must_use]
    pub fn refuse(mut self) -> Rule {
        self.expression("reject", |body| {
            body.word(1, REJECT_BY_ICMP);
            body.put(2, &[REJECT_PORT]);
        });
        self
    }

    /// Only packets from elsewhere than this network, of its family.
    #[must_use]
    pub fn not_source_in(self, net: IpNet) -> Rule {
        let offset = if net.addr().is_ipv4() { 12 } else { 8 };
        self.network(net, offset, UNEQUAL)
    }

    /// Only packets from a network.
    #[must_use]
    pub fn source_in(self, net: IpNet) -> Rule {
        // As in `source`.
        let offset = if net.addr().is_ipv4() { 12 } else { 8 };
        self.network(net, offset, EQUAL)
    }

    /// Only packets that go to another than this network, of its family.
    #[must_use]
    pub fn not_destination_in(self, net: IpNet) -> Rule {
        let offset = if net.addr().is_ipv4() { 16 } else { 24 };
        self.network(net, offset, UNEQUAL)
    }

    fn network(self, net: IpNet, offset: u32, operator: u32) -> Rule {
        let octets = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let mut rule = self.family(net.addr().is_ipv4());
        let (network, mask) = (octets(net.network()), octets(net.netmask()));
        let length = u32::try_from(mask.len()).unwrap_or(0);
        rule.payload(offset, length);
        rule.expression("bitwise", |body| {
            body.word(1, REGISTER);
            body.word(2, REGISTER);
            body.word(3, length);
            body.nest(4, |body| body.put(1, &mask));
            body.nest(5, |body| body.put(1, &vec![0; mask.len()]));
        });
        rule.compare(operator, &network);
        rule
    }

    /// Only packets that belong to no connection yet.
    #[must_use]
    pub fn new_connection(mut self) -> Rule {
        self.expression("ct", |body| {
            body.word(1, REGISTER);
            body.word(2, 0);
        });
        self.expression("bitwise", |body| {
            body.word(1, REGISTER);
            body.word(2, REGISTER);
            body.word(3, 4);
            body.nest(4, |body| body.put(1, &CT_INVALID_OR_NEW.to_ne_bytes()));
            body.nest(5, |body| body.put(1, &[0; 4]));
        });
        self.compare(UNEQUAL, &[0; 4]);
        self
    }

    /// They get the address of the interface they leave by as their source.
    #[must_use]
    pub fn masquerade(mut self) -> Rule {
        self.expression("masq", |_| {});
        self
    }

    /// They are accepted, as far as this chain goes.
    #[must_use]
    pub fn accept(self) -> Rule {
        self.verdict(NF_ACCEPT)
    }

    /// They are dropped.
    #[must_use]
    pub fn discard(self) -> Rule {
        self.verdict(NF_DROP)
    }

    fn verdict(mut self, code: u32) -> Rule {
        self.expression("immediate", |body| {
            body.word(1, 0);
            body.nest(2, |body| body.nest(2, |body| body.word(1, code)));
        });
        self
    }

    fn interface(mut self, key: u32, operator: u32, name: &str) -> Rule {
        self.meta(key);
        match name.strip_suffix('*') {
            Some(prefix) => self.compare(operator, prefix.as_bytes()),
            None => {
                // Names are compared with all of the 16 bytes the kernel keeps of them (IFNAMSIZ).
                let mut bytes = [0; 16];
                let length = name.len().min(15);
                bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
                self.compare(operator, &bytes);
            }
        }
        self
    }

    fn meta(&mut self, key: u32) {
        self.expression("meta", |body| {
            body.word(1, REGISTER);
            body.word(2, key);
        });
    }

    fn network_header(&mut self, offset: u32, value: &[u8]) {
        self.payload(offset, u32::try_from(value.len()).unwrap_or(0));
        self.compare(EQUAL, value);
    }

    /// A part of the network header.
    fn payload(&mut self, offset: u32, length: u32) {
        self.load(NETWORK_HEADER, offset, length);
    }

    fn load(&mut self, header: u32, offset: u32, length: u32) {
        self.expression("payload", |body| {
            body.word(1, REGISTER);
            body.word(2, header);
            body.word(3, offset);
            body.word(4, length);
        });
    }

    /// What is known of the first packet's direction of a connection.
    fn connection(&mut self, key: u32, value: &[u8]) {
        self.expression("ct", |body| {
            body.word(1, REGISTER);
            body.word(2, key);
            // IP_CT_DIR_ORIGINAL
            body.put(3, &[0]);
        });
        self.compare(EQUAL, value);
    }

    fn set(&mut self, register: u32, value: &[u8]) {
        self.expression("immediate", |body| {
            body.word(1, register);
            body.nest(2, |body| body.put(1, value));
        });
    }

    fn compare(&mut self, operator: u32, value: &[u8]) {
        self.expression("cmp", |body| {
            body.word(1, REGISTER);
            body.word(2, operator);
            body.nest(3, |body| body.put(1, value));
        });
    }

    fn expression(&mut self, name: &str, data: impl FnOnce(&mut Attributes)) {
        self.expressions.nest(1, |body| {
            body.text(1, name);
            body.nest(2, data);
        });
    }

    /// The rule as the last of a chain.
    pub fn append(self, family: Family, table: &str, chain: &str) -> Change {
        self.add(family, table, chain, NLM_F_CREATE | NLM_F_APPEND)
    }

    /// The rule as the first of a chain.
    pub fn insert(self, family: Family, table: &str, chain: &str) -> Change {
        self.add(family, table, chain, NLM_F_CREATE)
    }

    fn add(self, family: Family, table: &str, chain: &str, flags: u16) -> Change {
        let mut body = Attributes::default();
        body.text(1, table);
        body.text(2, chain);
        body.put(4 | NLA_F_NESTED, &self.expressions.0);
        if let Some(comment) = self.comment {
            // As libnftnl keeps comments: type 0, a length, and the text with its final zero.
            let mut data = vec![0, u8::try_from(comment.len() + 1).unwrap_or(u8::MAX)];
            data.extend(comment.as_bytes());
            data.push(0);
            body.put(7, &data);
        }
        Change {
            what: format!("add a rule to the nftables chain {table} {chain}"),
            kind: NEWRULE,
            flags,
            family,
            body,
        }
    }
}

//! Packet filter and NAT rules, over nf_tables' own netlink (nfnetlink; include/uapi/linux/netfilter/nf_tables.h).
//!
//! Changes go in transactions: all of them happen, or none. A table made as owned belongs to the socket it was made
//! with: nobody else can change it, and the kernel removes it with the socket (NFT_TABLE_F_OWNER, Linux 5.12).

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::error::{Attempt, Error, Result};
use super::netlink::{HEADER, NLMSG_DONE, answers, half, retry};

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = 0;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;
const DELRULE: u16 = 8;
const NFT_TABLE_F_OWNER: u32 = 2;
const NLA_F_NESTED: u16 = 0x8000;
/// The kernel answers at once; this only keeps a bug from becoming a hang.
const PATIENCE: i64 = 10;
/// nfgenmsg, which follows the netlink header.
const GENERIC: usize = 4;

/// What a table's chains see (NFPROTO_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// IPv4.
    Ip = 2,
    /// IPv6.
    Ip6 = 10,
}

impl Family {
    fn of(number: u8) -> Option<Family> {
        [Family::Inet, Family::Ip, Family::Ip6]
            .into_iter()
            .find(|family| *family as u8 == number)
    }
}

/// Where a base chain hangs (NF_INET_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Packets that pass through.
    Forward = 2,
    /// Packets that are about to leave.
    PostRouting = 4,
}

/// One change of a transaction.
pub struct Change {
    what: String,
    kind: u16,
    flags: u16,
    family: Family,
    body: Attributes,
}

/// A table for both families. An owned one goes with the socket that makes it.
pub fn table(name: &str, owned: bool) -> Change {
    let mut body = Attributes::default();
    body.text(1, name);
    if owned {
        body.word(2, NFT_TABLE_F_OWNER);
    }
    Change {
        what: format!("make the nftables table {name}"),
        kind: NEWTABLE,
        flags: NLM_F_CREATE,
        family: Family::Inet,
        body,
    }
}

/// A base chain of such a table. `kind` is `nat` or `filter`; of several at one hook, the lower priority sees packets
/// first.
pub fn chain(table: &str, name: &str, kind: &str, hook: Hook, priority: i32) -> Change {
    let mut body = Attributes::default();
    body.text(1, table);
    body.text(3, name);
    body.nest(4, |body| {
        body.word(1, hook as u32);
        body.word(2, priority.cast_unsigned());
    });
    body.text(7, kind);
    Change {
        what: format!("make the nftables chain {name} in {table}"),
        kind: NEWCHAIN,
        flags: NLM_F_CREATE,
        family: Family::Inet,
        body,
    }
}

/// A rule: conditions, and what happens where all of them hold.
#[derive(Default)]
pub struct Rule {
    expressions: Attributes,
    comment: Option<String>,
}

/// Keys of the meta expression (NFT_META_*).
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
/// Operators of comparisons (NFT_CMP_*).
const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;
/// The register conditions are put through (NFT_REG_1).
const REGISTER: u32 = 1;
const NF_DROP: u32 = 0;
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
        let length = u32::try_from(value.len()).unwrap_or(0);
        self.expression("payload", |body| {
            body.word(1, REGISTER);
            body.word(2, 1);
            body.word(3, offset);
            body.word(4, length);
        });
        self.compare(EQUAL, value);
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

/// A base chain as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundChain {
    /// Its table's family.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// Its hook's number.
    pub hook: u32,
    /// Whether what no rule decides is dropped.
    pub drops: bool,
    /// How many rules it has.
    pub rules: u32,
}

/// A rule as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRule {
    family: Family,
    table: String,
    chain: String,
    handle: u64,
    /// Its comment.
    pub comment: Option<String>,
}

impl FoundRule {
    /// Takes it away.
    pub fn delete(&self) -> Change {
        let mut body = Attributes::default();
        body.text(1, &self.table);
        body.text(2, &self.chain);
        body.put(3, &self.handle.to_be_bytes());
        Change {
            what: format!(
                "delete a rule of the nftables chain {} {}",
                self.table, self.chain
            ),
            kind: DELRULE,
            flags: 0,
            family: self.family,
            body,
        }
    }
}

/// A socket that stays in the network namespace it was opened in.
pub struct Nftables {
    socket: Socket,
    sequence: u32,
}

impl Nftables {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// This kernel has no nf_tables, or no descriptors are left.
    pub fn open() -> Result<Nftables> {
        let what = || "speak to the kernel's nf_tables";
        let mut socket = Socket::new(NETLINK_NETFILTER).attempt(what)?;
        socket.bind(&SocketAddr::new(0, 0)).attempt(what)?;
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        setsockopt(
            &socket.as_fd(),
            sockopt::ReceiveTimeout,
            &TimeVal::new(PATIENCE, 0),
        )
        .attempt(what)?;
        Ok(Nftables { socket, sequence: 0 })
    }

    /// Makes all changes, or none.
    ///
    /// # Errors
    /// The first that the kernel refuses.
    pub fn change(&mut self, changes: Vec<Change>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let begin = self.next();
        header(
            &mut bytes,
            NFNL_MSG_BATCH_BEGIN,
            0,
            begin,
            0,
            NFNL_SUBSYS_NFTABLES,
            &[],
        );
        let mut names = Vec::new();
        for change in &changes {
            let sequence = self.next();
            let kind = NFNL_SUBSYS_NFTABLES << 8 | change.kind;
            let flags = change.flags | NLM_F_ACK;
            header(
                &mut bytes,
                kind,
                flags,
                sequence,
                change.family as u8,
                0,
                &change.body.0,
            );
            names.push((sequence, &change.what));
        }
        let end = self.next();
        header(
            &mut bytes,
            NFNL_MSG_BATCH_END,
            0,
            end,
            0,
            NFNL_SUBSYS_NFTABLES,
            &[],
        );
        retry(|| self.socket.send(&bytes, 0)).attempt(|| names[0].1.clone())?;
        let mut waiting = names.len();
        while waiting > 0 {
            for answer in answers(&self.receive(names[0].1)?) {
                if answer.sequence < begin || answer.sequence > end {
                    continue;
                }
                let found = names.iter().find(|(sequence, _)| *sequence == answer.sequence);
                let what = found.map_or(names[0].1, |(_, what)| what);
                if let Some((errno, said)) = answer.failure {
                    let what = what.clone();
                    return Err(Error { what, errno, said });
                }
                waiting -= 1;
            }
        }
        Ok(())
    }

    /// All base chains.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn chains(&mut self) -> Result<Vec<FoundChain>> {
        self.dump(GETCHAIN, "list the nftables chains", found_chain)
    }

    /// All rules.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn rules(&mut self) -> Result<Vec<FoundRule>> {
        self.dump(GETRULE, "list the nftables rules", found_rule)
    }

    fn dump<T>(
        &mut self,
        kind: u16,
        what: &str,
        read: impl Fn(Family, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>> {
        let sequence = self.next();
        let mut bytes = Vec::new();
        header(
            &mut bytes,
            NFNL_SUBSYS_NFTABLES << 8 | kind,
            NLM_F_DUMP,
            sequence,
            0,
            0,
            &[],
        );
        retry(|| self.socket.send(&bytes, 0)).attempt(|| what)?;
        let mut found = Vec::new();
        loop {
            for answer in answers(&self.receive(what)?) {
                if answer.sequence != sequence {
                    continue;
                }
                if let Some((errno, said)) = answer.failure {
                    let what = what.to_owned();
                    return Err(Error { what, errno, said });
                }
                if answer.kind == NLMSG_DONE {
                    return Ok(found);
                }
                if let Some((generic, attributes)) = answer
                    .bytes
                    .get(HEADER..)
                    .and_then(|it| it.split_at_checked(GENERIC))
                {
                    found.extend(Family::of(generic[0]).and_then(|family| read(family, attributes)));
                }
            }
        }
    }

    fn receive(&self, what: &str) -> Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(64 * 1024);
        retry(|| self.socket.recv(&mut buffer, 0)).attempt(|| what)?;
        Ok(buffer)
    }

    fn next(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }
}

impl AsFd for Nftables {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Nftables {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

/// Appends a message with its netlink and nfnetlink headers.
fn header(
    bytes: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    resource: u16,
    attributes: &[u8],
) {
    let length = HEADER + GENERIC + attributes.len();
    bytes.extend(u32::try_from(length).unwrap_or(0).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
}

/// Netlink attributes; nf_tables' numbers are in network byte order.
#[derive(Default)]
struct Attributes(Vec<u8>);

impl Attributes {
    fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn word(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes);
    }

    fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes)) {
        let mut inner = Attributes::default();
        fill(&mut inner);
        self.put(kind | NLA_F_NESTED, &inner.0);
    }
}

/// The attributes of a message or of a nested one: type, value. Stops where they make no sense.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        if rest.len() < 4 {
            return None;
        }
        let (length, kind) = (half(rest, 0) as usize, half(rest, 2) & 0x3fff);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn number(value: &[u8]) -> u32 {
    value.try_into().map_or(0, u32::from_be_bytes)
}

fn string(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// A base chain; others have no hook.
fn found_chain(family: Family, message: &[u8]) -> Option<FoundChain> {
    let mut hook = None;
    let mut chain = FoundChain {
        family,
        table: String::new(),
        name: String::new(),
        kind: String::new(),
        hook: 0,
        drops: false,
        rules: 0,
    };
    for (kind, value) in attributes(message) {
        match kind {
            1 => chain.table = string(value),
            3 => chain.name = string(value),
            4 => {
                hook = attributes(value)
                    .find(|(kind, _)| *kind == 1)
                    .map(|(_, it)| number(it))
            }
            5 => chain.drops = number(value) == NF_DROP,
            6 => chain.rules = number(value),
            7 => chain.kind = string(value),
            _ => {}
        }
    }
    chain.hook = hook?;
    Some(chain)
}

fn found_rule(family: Family, message: &[u8]) -> Option<FoundRule> {
    let mut handle = None;
    let mut rule = FoundRule {
        family,
        table: String::new(),
        chain: String::new(),
        handle: 0,
        comment: None,
    };
    for (kind, value) in attributes(message) {
        match kind {
            1 => rule.table = string(value),
            2 => rule.chain = string(value),
            3 => handle = value.try_into().ok().map(u64::from_be_bytes),
            7 => rule.comment = comment(value),
            _ => {}
        }
    }
    rule.handle = handle?;
    Some(rule)
}

/// The comment among a rule's user data: entries of type, length, value.
fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..*length as usize)?;
        if *kind == 0 {
            return Some(string(value));
        }
        data = &rest[*length as usize..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_found_among_user_data() {
        assert_eq!(comment(b"\x01\x02ab\x00\x03xy\0"), Some("xy".into()));
        assert_eq!(comment(b"\x00\x09xy"), None);
        assert_eq!(comment(b""), None);
    }

    #[test]
    fn attributes_end_where_they_make_no_sense() {
        assert_eq!(attributes(&[8, 0, 1, 0, 1, 2, 3, 4, 3, 0, 1, 0]).count(), 1);
        assert_eq!(attributes(&[200, 0, 1, 0, 1]).count(), 0);
        assert_eq!(attributes(&[0; 3]).count(), 0);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut written = Attributes::default();
        written.text(1, "filter");
        written.nest(4, |hook| hook.word(1, 2));
        written.word(5, NF_DROP);
        let chain = found_chain(Family::Ip, &written.0).unwrap();
        assert_eq!(
            (chain.table.as_str(), chain.hook, chain.drops),
            ("filter", 2, true)
        );
        assert_eq!(found_chain(Family::Ip, &[]), None);
    }
}

//! Packet filter and NAT rules, over nf_tables' own netlink (nfnetlink; include/uapi/linux/netfilter/nf_tables.h).
//!
//! Changes go in transactions: all of them happen, or none. A table made as owned belongs to the socket it was made
//! with: nobody else can change it, and the kernel removes it with the socket (NFT_TABLE_F_OWNER, Linux 5.12).

mod attributes;
mod found;
mod rule;

use std::os::fd::AsFd;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use attributes::Attributes;
pub use found::{FoundChain, FoundRule};
use found::{found_chain, found_rule};
pub use rule::Rule;

use super::error::{Attempt, Error, Result};
use super::netlink::{HEADER, NLMSG_DONE, answers, retry};

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;
const DELRULE: u16 = 8;
const NFT_TABLE_F_OWNER: u32 = 2;
/// The kernel answers at once; this only keeps a bug from becoming a hang.
const PATIENCE: i64 = 10;
/// What fits into a socket's buffers as they are, in bytes, with its answers.
const USUAL_ROOM: usize = 16 * 1024;
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
    /// Packets that have come in.
    PreRouting = 0,
    /// Packets that pass through.
    Forward = 2,
    /// Packets of processes here.
    Output = 3,
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

/// Deletes a table for both families, with all that is in it.
pub fn delete_table(name: &str) -> Change {
    let mut body = Attributes::default();
    body.text(1, name);
    Change {
        what: format!("delete the nftables table {name}"),
        kind: DELTABLE,
        flags: 0,
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

/// Takes all rules out of a chain of such a table.
pub fn flush(table: &str, chain: &str) -> Change {
    let mut body = Attributes::default();
    body.text(1, table);
    body.text(2, chain);
    Change {
        what: format!("flush the nftables chain {chain} in {table}"),
        kind: DELRULE,
        flags: 0,
        family: Family::Inet,
        body,
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
        self.make_room(bytes.len());
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

    /// A transaction is one message, and each of its changes is answered: both have to fit into the socket's buffers, which a
    /// user's may not grow beyond the usual.
    fn make_room(&self, length: usize) {
        if length < USUAL_ROOM {
            return;
        }
        let _ = setsockopt(&self.socket.as_fd(), sockopt::SndBufForce, &(length * 2));
        let _ = setsockopt(&self.socket.as_fd(), sockopt::RcvBufForce, &(length * 4));
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

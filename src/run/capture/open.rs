//! Opens packet sockets inside the nodes' networks.

use std::collections::BTreeMap;
use std::fs::File;

use libc::sock_filter;

use super::happenings::Happenings;
use super::{End, Order, failure};
use crate::capture::filter::{self, Instruction, LinkType};
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::packet_socket::{Filters, PacketSocket};
use crate::kernel::rootless::is_rootless;
use crate::kernel::user_namespace;
use crate::run::holder;

/// What waits to be read may take so much memory in the kernel, all sockets together.
const ALL_BUFFERS: usize = 256 << 20;
/// And so much of one socket.
const BUFFERS: std::ops::RangeInclusive<usize> = 256 << 10..=16 << 20;

/// An interface with its socket.
pub struct Opened {
    pub end: End,
    pub socket: PacketSocket,
}

/// Opens all, each by a thread inside its node's network. Without root this process becomes part of the lab's user namespace first,
/// for which it must have a single thread.
///
/// # Errors
/// An interface has gone, or the filter does not fit what it carries.
pub fn all(order: &Order<'_>, happenings: &Happenings) -> Result<Vec<Opened>, Failure> {
    let wrong = |error: filter::FilterError| failure(order.filter, &error);
    let compile = |link| filter::compile_for_kernel(order.filter, link, order.snaplen);
    let ethernet = kernels(&compile(LinkType::Ethernet).map_err(wrong)?);
    let raw_ip = compile(LinkType::RawIp);
    let raw_program = raw_ip.as_ref().ok().map(|program| kernels(program));
    let filters = Filters {
        ethernet: &ethernet,
        raw_ip: raw_program.as_deref(),
    };
    let buffer = (ALL_BUFFERS / order.ends.len().max(1)).clamp(*BUFFERS.start(), *BUFFERS.end());
    let mut of_nodes: BTreeMap<i32, Vec<(usize, &End)>> = BTreeMap::new();
    for (number, end) in order.ends.iter().enumerate() {
        of_nodes.entry(end.network).or_default().push((number, end));
    }
    let supervisor = happenings.supervisor();
    let networks: Vec<_> = of_nodes
        .into_iter()
        .map(|(network, ends)| Ok((holder::network(supervisor, network)?, ends)))
        .collect::<Result<_, Failure>>()?;
    if is_rootless() {
        let users = format!("/proc/{supervisor}/ns/user");
        let users = File::open(&users).attempt(|| format!("open {users}"))?;
        user_namespace::enter(&users)?;
    }
    let mut opened = Vec::new();
    for (network, ends) in networks {
        let sockets = network.run(|| {
            let open = |end: &End| PacketSocket::open(end.index, &filters, buffer);
            let open = |(number, end): &(usize, &End)| {
                let socket = open(end).map_err(|mut error| {
                    error.what = format!("{} on {}", error.what, end.name());
                    error
                });
                Ok((*number, socket?))
            };
            ends.iter().map(open).collect::<crate::kernel::Result<Vec<_>>>()
        })?;
        for ((number, socket), (_, end)) in sockets.into_iter().zip(ends) {
            let Some(socket) = socket else {
                // There is one for everything but what the filter cannot say of it.
                return Err(match &raw_ip {
                    Err(error) => failure(order.filter, error).detail(format!("of {}", end.name())),
                    Ok(_) => Failure::host(format!("cannot capture on {}", end.name())),
                });
            };
            let mut end = end.clone();
            end.has_ethernet = socket.has_ethernet();
            opened.push((number, Opened { end, socket }));
        }
    }
    opened.sort_by_key(|(number, _)| *number);
    Ok(opened.into_iter().map(|(_, opened)| opened).collect())
}

/// A program as the kernel takes it.
fn kernels(program: &[Instruction]) -> Vec<sock_filter> {
    let kernels = |it: &Instruction| sock_filter {
        code: it.code,
        jt: it.jt,
        jf: it.jf,
        k: it.k,
    };
    program.iter().map(kernels).collect()
}

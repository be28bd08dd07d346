//! Sockets that get the packets of an interface as they pass it (packet(7)).
#![allow(unsafe_code)]

use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{
    c_int, cmsghdr, iovec, mmsghdr, sock_filter, sockaddr_ll, timespec, tpacket_auxdata, tpacket_stats,
};
use nix::errno::Errno;

use super::error::{Attempt, Error, Result};
use super::socket_option;

/// How many packets one call takes at most.
const BATCH: usize = 32;
/// Room before each packet, for a VLAN tag that the kernel has beside it.
const TAG: usize = 4;
/// Behind the two addresses.
const TAG_AT: usize = 12;
/// Room for what comes beside a packet: its time, and what the kernel knows of it.
const BESIDE: usize = 128;
const TPID_8021Q: u16 = 0x8100;

/// A socket that is bound to an interface.
pub struct PacketSocket {
    fd: OwnedFd,
    has_ethernet: bool,
    is_loopback: bool,
}

/// A packet, until the next is read.
pub struct Received<'b> {
    /// Its bytes, as far as they were kept.
    pub bytes: &'b [u8],
    /// How long it was.
    pub length: u32,
    /// When it passed, in nanoseconds since 1970.
    pub time: u64,
    /// Whether it left by the interface.
    pub is_outgoing: bool,
}

/// What became of the packets that passed the filter since that was asked last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub all: u64,
    /// Those for which there was no room.
    pub lost: u64,
}

/// The filter of a socket that gets nothing yet: for interfaces with an Ethernet header, and for those without one.
pub struct Filters<'f> {
    /// With it.
    pub ethernet: &'f [sock_filter],
    /// Without it; none where there is no such filter.
    pub raw_ip: Option<&'f [sock_filter]>,
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl PacketSocket {
    /// Opens a socket for an interface of the calling thread's network namespace. It gets no packet that the filter does not let
    /// through, from the first on. Returns `None` where the interface has no Ethernet header and there is no filter for that.
    ///
    /// # Errors
    /// There is no such interface, or this is not permitted.
    pub fn open(index: u32, filters: &Filters<'_>, buffer: usize) -> Result<Option<PacketSocket>> {
        let what = || "open a packet socket";
        let probe = socket(libc::SOCK_RAW)?;
        // With the protocol 0 it gets nothing.
        bind(&probe, index, 0).attempt(what)?;
        let kind = hardware(&probe).attempt(what)?;
        let is_loopback = kind == libc::ARPHRD_LOOPBACK;
        let has_ethernet = is_loopback || kind == libc::ARPHRD_ETHER;
        let (fd, program) = match (has_ethernet, filters.raw_ip) {
            (true, _) => (probe, filters.ethernet),
            (false, Some(program)) => (socket(libc::SOCK_DGRAM)?, program),
            (false, None) => return Ok(None),
        };
        let one: c_int = 1;
        socket_option::set(&fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, &one).attempt(what)?;
        socket_option::set(&fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &one).attempt(what)?;
        // The kernel doubles it.
        let half = c_int::try_from(buffer / 2).unwrap_or(c_int::MAX);
        socket_option::receive_buffer(&fd, half).attempt(what)?;
        attach(&fd, program)?;
        bind(&fd, index, libc::ETH_P_ALL as u16).attempt(what)?;
        Ok(Some(PacketSocket {
            fd,
            has_ethernet,
            is_loopback,
        }))
    }

    /// Whether its packets begin with an Ethernet header; if not, with one of IP.
    pub fn has_ethernet(&self) -> bool {
        self.has_ethernet
    }

    /// Takes packets that are there, in order, and no more than a few dozen. Returns how many there were; 0 means that none is
    /// left.
    ///
    /// # Errors
    /// The socket is broken; that its interface went down or away is no error.
    pub fn receive(&self, buffers: &mut Buffers, mut each: impl FnMut(Received<'_>)) -> Result<usize> {
        let count = match buffers.fill(&self.fd) {
            Ok(count) => count,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(0),
            // Told once each time, and none of the packets before it is lost.
            Err(Errno::ENETDOWN | Errno::ENODEV | Errno::ENXIO) => return Ok(0),
            Err(errno) => return Err(Error::new("read packets", errno)),
        };
        for number in 0..count {
            let packet = buffers.packet(number, self.has_ethernet);
            // On the loopback each packet leaves and arrives.
            if !(self.is_loopback && packet.is_outgoing) {
                each(packet);
            }
        }
        Ok(count)
    }

    /// What became of packets since this was asked last.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn counts(&self) -> Result<Counts> {
        // SAFETY: it is two numbers.
        let found: tpacket_stats =
            unsafe { socket_option::get(&self.fd, libc::SOL_PACKET, libc::PACKET_STATISTICS) }
                .attempt(|| "count packets")?;
        Ok(Counts {
            all: found.tp_packets.into(),
            lost: found.tp_drops.into(),
        })
    }
}

fn socket(kind: c_int) -> Result<OwnedFd> {
    // SAFETY: it takes three numbers and gives one.
    let fd = unsafe {
        libc::socket(
            libc::AF_PACKET,
            kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            0,
        )
    };
    let fd = Errno::result(fd).attempt(|| "open a packet socket")?;
    // SAFETY: a fresh descriptor, owned by nobody yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn address(index: u32, protocol: u16) -> sockaddr_ll {
    // SAFETY: it is numbers alone, for which zero is a value.
    let mut address: sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index.cast_signed();
    address
}

fn bind(fd: &OwnedFd, index: u32, protocol: u16) -> nix::Result<()> {
    let address = address(index, protocol);
    let length = size_of::<sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel reads the address, which outlives the call, and no more than its length.
    let done = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(done).map(drop)
}

/// The type of the hardware of the interface that a socket is bound to (linux/if_arp.h).
fn hardware(fd: &OwnedFd) -> nix::Result<u16> {
    let mut address = address(0, 0);
    let mut length = size_of::<sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `address`, both of which outlive the call.
    let done = unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
    Errno::result(done).map(|_| address.sll_hatype)
}

fn attach(fd: &OwnedFd, program: &[sock_filter]) -> Result<()> {
    socket_option::attach(fd, program).attempt(|| "attach the filter")
}

/// What comes beside a packet, as the kernel wants it placed.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Beside([u8; BESIDE]);

/// Room for packets; one serves all sockets.
pub struct Buffers {
    size: usize,
    bytes: Vec<u8>,
    beside: Vec<Beside>,
    from: Vec<sockaddr_ll>,
    /// How much of each was filled: the packet, and what is beside it.
    lengths: Vec<(usize, usize)>,
}

impl Buffers {
    /// Room for packets of so many bytes; longer ones are cut off.
    pub fn new(size: usize) -> Buffers {
        Buffers {
            size: size + TAG,
            bytes: vec![0; (size + TAG) * BATCH],
            beside: vec![Beside([0; BESIDE]); BATCH],
            from: vec![address(0, 0); BATCH],
            lengths: vec![(0, 0); BATCH],
        }
    }

    fn fill(&mut self, fd: &OwnedFd) -> nix::Result<usize> {
        let mut slices: Vec<iovec> = Vec::with_capacity(BATCH);
        for buffer in self.bytes.chunks_exact_mut(self.size) {
            let room = &mut buffer[TAG..];
            slices.push(iovec {
                iov_base: room.as_mut_ptr().cast(),
                iov_len: room.len(),
            });
        }
        let parts = slices.iter_mut().zip(&mut self.from).zip(&mut self.beside);
        let mut messages: Vec<mmsghdr> = parts
            .map(|((slice, from), beside)| {
                // SAFETY: it is numbers and pointers alone, for which zero is a value.
                let mut message: mmsghdr = unsafe { mem::zeroed() };
                let header = &mut message.msg_hdr;
                header.msg_name = (&raw mut *from).cast();
                header.msg_namelen = size_of::<sockaddr_ll>() as libc::socklen_t;
                header.msg_iov = slice;
                header.msg_iovlen = 1;
                header.msg_control = beside.0.as_mut_ptr().cast();
                header.msg_controllen = BESIDE;
                message
            })
            .collect();
        // SAFETY: all that the headers point to is alive until the call returns, exclusively borrowed, and as long as they say.
        let count = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let count = Errno::result(count)?.unsigned_abs() as usize;
        for (lengths, message) in self.lengths.iter_mut().zip(&messages[..count]) {
            *lengths = (message.msg_len as usize, message.msg_hdr.msg_controllen);
        }
        Ok(count)
    }

    /// A packet that was read, with its VLAN tag where it was on the wire.
    fn packet(&mut self, number: usize, has_ethernet: bool) -> Received<'_> {
        let (length, beside) = self.lengths[number];
        let (time, known) = beside_packet(&self.beside[number].0[..beside.min(BESIDE)]);
        let is_outgoing = self.from[number].sll_pkttype == libc::PACKET_OUTGOING;
        let start = number * self.size;
        let buffer = &mut self.bytes[start..start + TAG + length.min(self.size - TAG)];
        let mut whole = known.map_or(length as u32, |it| it.tp_len);
        let tag = known.filter(|it| has_ethernet && it.tp_status & libc::TP_STATUS_VLAN_VALID != 0);
        let bytes = match tag {
            Some(known) if length >= TAG_AT => {
                buffer.copy_within(TAG..TAG + TAG_AT, 0);
                let kind = match known.tp_status & libc::TP_STATUS_VLAN_TPID_VALID {
                    0 => TPID_8021Q,
                    _ => known.tp_vlan_tpid,
                };
                buffer[TAG_AT..TAG_AT + 2].copy_from_slice(&kind.to_be_bytes());
                buffer[TAG_AT + 2..TAG_AT + 4].copy_from_slice(&known.tp_vlan_tci.to_be_bytes());
                whole = whole.saturating_add(TAG as u32);
                &*buffer
            }
            _ => &buffer[TAG..],
        };
        Received {
            bytes,
            length: whole,
            time,
            is_outgoing,
        }
    }
}

/// The time of a packet, and what the kernel knows of it (cmsg(3)).
fn beside_packet(beside: &[u8]) -> (u64, Option<tpacket_auxdata>) {
    const HEAD: usize = size_of::<cmsghdr>();
    let (mut time, mut known) = (0, None);
    let mut rest = beside;
    while let Some(head) = read::<cmsghdr>(rest) {
        let length = head.cmsg_len;
        let Some(content) = rest.get(HEAD..length) else {
            break;
        };
        match (head.cmsg_level, head.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                time = read::<timespec>(content).map_or(0, |it| {
                    it.tv_sec.unsigned_abs() * 1_000_000_000 + it.tv_nsec.unsigned_abs()
                });
            }
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) => known = read(content),
            _ => {}
        }
        rest = rest
            .get(length.next_multiple_of(size_of::<usize>())..)
            .unwrap_or_default();
    }
    (time, known)
}

/// A structure of the kernel's.
trait Plain: Copy {}
impl Plain for cmsghdr {}
impl Plain for timespec {}
impl Plain for tpacket_auxdata {}

fn read<T: Plain>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: there are as many bytes, any of which are a value: only structures of numbers are `Plain`. They need not be aligned.
    Some(unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) })
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn everything(keep: u32) -> [sock_filter; 1] {
        [sock_filter {
            code: 6,
            jt: 0,
            jf: 0,
            k: keep,
        }]
    }

    #[test]
    fn packets_are_read_with_their_time_and_length() {
        crate::namespace::create(&[crate::namespace::Wanted {
            name: "x",
            sysctls: &[],
            made: None,
        }])
        .unwrap()
        .remove(0)
        .namespace
        .run(|| {
            let mut netlink = crate::netlink::Netlink::open()?;
            netlink.send_one(crate::link::up("raise the loopback", 1))?;
            let filter = everything(100);
            let filters = Filters {
                ethernet: &filter,
                raw_ip: None,
            };
            let socket = PacketSocket::open(1, &filters, 1 << 20)?.unwrap();
            assert!(socket.has_ethernet());
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            sender.send_to(&[7; 1000], "127.0.0.1:9").unwrap();
            let mut buffers = Buffers::new(4096);
            let mut seen = Vec::new();
            while socket.receive(&mut buffers, |packet| {
                let now = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap();
                let age = now.as_nanos() as u64 - packet.time;
                assert!(age < 60_000_000_000, "{age}");
                seen.push((
                    packet.length,
                    packet.bytes.len(),
                    packet.bytes[23],
                    packet.is_outgoing,
                ));
            })? > 0
            {}
            assert_eq!(seen[0], (1042, 100, 17, false));
            assert_eq!(socket.counts()?.lost, 0);
            assert!(PacketSocket::open(99, &filters, 1 << 20).is_err());
            Ok(())
        })
        .unwrap();
    }
}

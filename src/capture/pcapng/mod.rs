//! Files of packets (draft-ietf-opsawg-pcapng): blocks that are appended to bytes, and a reader of what was written.

mod read;
mod write;

pub use read::{Block, PacketRead, ReadError, read, whole};
pub use write::{Interface, Packet, Statistics, interface, packet, section, statistics};

/// Kinds of blocks.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;

/// How numbers are written: as on the machine that wrote them.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Options of all kinds of blocks.
const COMMENT: u16 = 1;
/// Options of sections.
const APPLICATION: u16 = 4;
/// Options of interfaces.
const NAME: u16 = 2;
const DESCRIPTION: u16 = 3;
const MAC: u16 = 6;
const RESOLUTION: u16 = 9;
const FILTER: u16 = 11;
/// Options of packets.
const FLAGS: u16 = 2;
/// Options of statistics.
const STARTED: u16 = 2;
const ENDED: u16 = 3;
const RECEIVED: u16 = 4;
const DROPPED: u16 = 5;

/// Times are counted in nanoseconds: 10 to the power of minus that.
const NANOSECONDS: u8 = 9;
/// Types of links (tcpdump.org/linktypes.html).
const ETHERNET: u16 = 1;
const RAW_IP: u16 = 101;

/// No option is longer.
const LONGEST_OPTION: usize = 0xfff0;
/// No block that is read is longer.
const LONGEST_BLOCK: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Direction, LinkType};

    fn file() -> Vec<u8> {
        let mut out = Vec::new();
        section(&mut out, "nslab 1", &["lab x"]);
        interface(
            &mut out,
            &Interface {
                name: "a:eth1",
                description: "to b:eth1",
                mac: Some([2, 0, 0, 0, 0, 1]),
                link: LinkType::Ethernet,
                snaplen: 96,
                filter: "tcp port 179",
            },
        );
        packet(
            &mut out,
            &Packet {
                interface: 0,
                time: 1_700_000_000_123_456_789,
                bytes: &[1, 2, 3],
                length: 1500,
                direction: Direction::Out,
                comments: &["link a:eth1 is down".to_owned(), "é".repeat(0x9000)],
            },
        );
        statistics(
            &mut out,
            &Statistics {
                interface: 0,
                started: 5,
                ended: 1 << 40,
                received: 7,
                dropped: 6,
                comments: &[],
            },
        );
        out
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = file();
        assert_eq!(bytes.len() % 4, 0);
        let blocks = read(&bytes).unwrap();
        let [
            Block::Section {
                application,
                comments,
            },
            Block::Interface {
                name,
                link,
                snaplen,
                filter,
                ..
            },
            Block::Packet(packet),
            Block::Statistics {
                dropped,
                received,
                ended,
                ..
            },
        ] = blocks.as_slice()
        else {
            panic!("{blocks:?}")
        };
        assert_eq!(
            (application.as_str(), comments.as_slice()),
            ("nslab 1", &["lab x".to_owned()][..])
        );
        assert_eq!(
            (name.as_str(), *link, *snaplen, filter.as_str()),
            ("a:eth1", 1, 96, "tcp port 179")
        );
        assert_eq!((packet.time, packet.length), (1_700_000_000_123_456_789, 1500));
        assert_eq!(
            (packet.bytes.as_slice(), packet.direction),
            (&[1, 2, 3][..], Some(Direction::Out))
        );
        assert_eq!(packet.comments[0], "link a:eth1 is down");
        assert!(packet.comments[1].starts_with("éé") && packet.comments[1].len() <= LONGEST_OPTION);
        assert_eq!((*dropped, *received, *ended), (6, 7, 1 << 40));
    }

    #[test]
    fn what_is_cut_off_is_told_and_what_is_before_it_is_read() {
        let bytes = file();
        for length in 0..bytes.len() {
            match read(&bytes[..length]) {
                Ok(blocks) => assert!(blocks.len() < 4 && whole(&bytes[..length]) == length),
                Err(error) => assert_eq!(error.at, whole(&bytes[..length]), "{error}"),
            }
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(read(&[0xff; 64]).is_err());
        let mut bytes = file();
        for at in 0..bytes.len() {
            let before = std::mem::replace(&mut bytes[at], 0xff);
            let _ = read(&bytes);
            bytes[at] = before;
        }
    }
}

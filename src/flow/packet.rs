//! The format of a packet: a magic number, the flow, the number of the packet and the time at which it was sent, in network byte
//! order, then filler.

/// What every packet begins with.
const MAGIC: [u8; 4] = *b"nsFl";
/// The fewest bytes of a packet: its header.
pub const LEAST: usize = 24;
/// The most bytes of a packet: what fits into a datagram of UDP over IPv4.
pub const MOST: usize = 65_507;

/// What a packet says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// A number that the flow has alone among those of its lab.
    pub flow: u32,
    /// Its number; the first is 0.
    pub sequence: u64,
    /// When it was sent.
    pub sent_ns: u64,
}

impl Header {
    /// Writes it to the beginning of a packet. What is shorter than [`LEAST`] stays as it is.
    pub fn write(&self, packet: &mut [u8]) {
        let Some(header) = packet.first_chunk_mut::<LEAST>() else {
            return;
        };
        header[..4].copy_from_slice(&MAGIC);
        header[4..8].copy_from_slice(&self.flow.to_be_bytes());
        header[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        header[16..24].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads it; none where that is no packet of a flow.
    pub fn read(packet: &[u8]) -> Option<Header> {
        let header = packet.first_chunk::<LEAST>()?;
        let number = |at: usize| {
            header[at..at + 8]
                .iter()
                .fold(0u64, |all, byte| all << 8 | u64::from(*byte))
        };
        (header[..4] == MAGIC).then(|| Header {
            flow: (number(0) & 0xffff_ffff) as u32,
            sequence: number(8),
            sent_ns: number(16),
        })
    }
}

/// Finds messages of one size in a stream.
#[derive(Debug, Clone)]
pub struct Messages {
    size: usize,
    /// The beginning of the message that is being received.
    header: [u8; LEAST],
    /// How much of that message is there.
    filled: usize,
}

impl Messages {
    /// Those of so many bytes, [`LEAST`] or more.
    pub fn of(size: usize) -> Messages {
        Messages {
            size: size.max(LEAST),
            header: [0; LEAST],
            filled: 0,
        }
    }

    /// Takes in what was received, and tells of every message that is complete with it. Returns false where the stream is not one
    /// of messages.
    pub fn take(&mut self, mut bytes: &[u8], mut told: impl FnMut(Header)) -> bool {
        while !bytes.is_empty() {
            let count = (self.size - self.filled).min(bytes.len());
            if let Some(room) = self.header.get_mut(self.filled..) {
                let part = count.min(room.len());
                room[..part].copy_from_slice(&bytes[..part]);
            }
            self.filled += count;
            bytes = &bytes[count..];
            if self.filled < self.size {
                return true;
            }
            self.filled = 0;
            match Header::read(&self.header) {
                Some(header) => told(header),
                None => return false,
            }
        }
        true
    }

    /// Begins anew, as with a new connection.
    pub fn reset(&mut self) {
        self.filled = 0;
    }
}

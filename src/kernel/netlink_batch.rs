//! A batch of netlink requests as octets (netlink(7)).

use netlink_packet_core::NLM_F_REQUEST;

use super::netlink::BATCH;

/// Requests written by hand: where a million of them go, values made to be written would cost more than the kernel's work.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Where each begins.
    pub(super) starts: Vec<usize>,
}

impl Batch {
    /// Begins a request with the kind's own header.
    pub fn begin(&mut self, kind: u16, flags: u16, header: &[u8]) {
        self.starts.push(self.bytes.len());
        self.bytes.extend(0u32.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        self.bytes.extend([0; 8]);
        self.bytes.extend(header);
    }

    /// Where what is written next will be.
    pub fn position(&self) -> usize {
        self.bytes.len()
    }

    /// Writes octets as they are.
    pub fn raw(&mut self, octets: &[u8]) {
        self.bytes.extend(octets);
    }

    /// Writes an attribute.
    pub fn attribute(&mut self, kind: u16, parts: &[&[u8]]) {
        let start = self.position();
        self.bytes.extend(0u16.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        for part in parts {
            self.bytes.extend(*part);
        }
        self.close(start);
    }

    /// Writes the length of what began at a place with a 16-bit length, and pads it.
    pub fn close(&mut self, start: usize) {
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Ends a request. Returns whether the batch should be sent.
    pub fn end(&mut self) -> bool {
        if let Some(&start) = self.starts.last() {
            let length = (self.bytes.len() - start) as u32;
            self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        }
        self.bytes.len() > BATCH
    }
}

//! Captures of a living lab: the packets of many interfaces in one order of time, with the lab's events among them.
//!
//! Packet sockets are opened inside the nodes' networks and read from outside; what is read goes through a bounded buffer to a thread
//! that writes. Where that is full, nothing is read, and the kernel drops and counts what the sockets have no room for: a reader that
//! stops costs packets, and never the lab's time.

mod ends;
mod file;
mod happenings;
mod open;
mod output;
mod watch;

use std::time::Duration;

pub use ends::{End, choose};
pub use file::Pcapng;
pub use output::Output;

use super::directory::LabDirectory;
use super::events::Event;
use crate::capture::filter::{self, FilterError, LinkType};
use crate::failure::Failure;

/// What is to be captured.
pub struct Order<'o> {
    /// The lab.
    pub lab: &'o LabDirectory,
    /// Which interfaces.
    pub ends: Vec<End>,
    /// Which packets, in pcap's language; all where it is empty.
    pub filter: &'o str,
    /// So many bytes of a packet are kept at most.
    pub snaplen: u32,
    /// After so many packets it ends.
    pub count: Option<u64>,
    /// After such a time it ends.
    pub duration: Option<Duration>,
    /// It ends before more bytes than that are written.
    pub max_size: Option<u64>,
}

/// A packet that passed an interface.
pub struct Packet {
    /// The number of its interface.
    pub end: usize,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Its bytes, as far as they were kept.
    pub bytes: Box<[u8]>,
    /// How long it was.
    pub length: u32,
    /// Whether it left by the interface.
    pub is_outgoing: bool,
}

/// How a capture is written. What is appended at once is written whole, or not at all.
pub trait Form {
    /// Before the first packet.
    fn begin(&mut self, out: &mut Vec<u8>, started: u64, ends: &[End]);
    /// A packet.
    fn packet(&mut self, out: &mut Vec<u8>, packet: &Packet);
    /// Something that happened in the lab before the packets that follow.
    fn event(&mut self, out: &mut Vec<u8>, event: &Event);
    /// After the last packet.
    fn end(&mut self, out: &mut Vec<u8>, report: &Report);
}

/// What became of a capture.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// When it began, in nanoseconds since 1970.
    pub started: u64,
    /// When it ended.
    pub ended: u64,
    /// How many packets were captured.
    pub packets: u64,
    /// How many passed the filter and were lost.
    pub lost: u64,
    /// The same of each interface, in the order of the ends.
    pub each: Vec<Counted>,
    /// Whether no more may be written.
    pub is_full: bool,
    /// Whether the lab is over.
    pub lab_is_over: bool,
    /// Whether nobody reads what is written any more.
    pub reader_has_gone: bool,
}

/// What became of the packets of an interface.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    /// How many were captured.
    pub packets: u64,
    /// How many passed the filter and were lost.
    pub lost: u64,
}

/// A capture that can begin: the sockets are open.
pub struct Ready<'o> {
    order: &'o Order<'o>,
    sockets: Vec<open::Opened>,
    happenings: happenings::Happenings,
}

/// Opens what is to be captured. Without root this process becomes part of the lab's user namespace, and must have a single thread.
///
/// # Errors
/// The lab has gone, an interface cannot be opened, or the filter does not fit it.
pub fn open<'o>(order: &'o Order<'o>) -> Result<Ready<'o>, Failure> {
    let happenings = happenings::connect(order.lab)?;
    let sockets = open::all(order, &happenings)?;
    Ok(Ready {
        order,
        sockets,
        happenings,
    })
}

impl Ready<'_> {
    /// Captures until it is enough, somebody ends it, or the lab is over. `tell` is told what a user should know meanwhile.
    ///
    /// # Errors
    /// The output cannot be written, or the kernel refuses.
    pub fn run(
        self,
        form: &mut dyn Form,
        output: Output,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Report, Failure> {
        watch::run(self.order, self.sockets, self.happenings, form, output, tell)
    }
}

/// Whether a filter can be compiled: asked before anything is opened.
///
/// # Errors
/// What is wrong with it, and where.
pub fn check(text: &str) -> Result<(), Failure> {
    let compiled = filter::compile(text, LinkType::Ethernet);
    compiled.map(drop).map_err(|error| failure(text, &error))
}

/// What is wrong with a filter.
fn failure(text: &str, error: &FilterError) -> Failure {
    let failure =
        Failure::wrong(format!("the filter is wrong: {}", error.message)).detail(error.excerpt(text));
    match &error.help {
        Some(help) => failure.help(help),
        None => failure.help("docs/capture.md tells what a filter can say"),
    }
}

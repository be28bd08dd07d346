//! The filter language of pcap-filter(7), compiled to classic BPF (bpf(4), linux/filter.h).
//!
//! Addresses and ports are numbers: nothing is looked up, but for the names of a small table of ports and protocols. What is not
//! supported is refused by name.

use std::fmt;
use std::ops::Range;

mod arithmetic;
mod code;
mod condition;
mod emit;
mod layout;
mod lexer;
mod lower;
mod names;
mod parser;
mod primitive;
mod relation;
mod run;
mod syntax;
#[cfg(test)]
mod tests;

pub use run::{Direction, Packet, matches};

use condition::Condition;
use layout::{Layout, Tags};

/// No expression is longer, in bytes.
pub const LONGEST_TEXT: usize = 16 * 1024;
/// No program is longer (linux/bpf_common.h, BPF_MAXINSNS).
pub const LONGEST_PROGRAM: usize = 4096;
/// Parentheses, negations and changes between `and` and `or` nest no deeper.
pub const DEEPEST: usize = 128;
/// What a program returns for a packet that matches, where nothing else is asked for: all of the packet.
pub const ALL: u32 = u32::MAX;

/// An instruction of classic BPF, as the kernel's `struct sock_filter` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What is done.
    pub code: u16,
    /// How many instructions are skipped where a comparison is true.
    pub jt: u8,
    /// How many instructions are skipped where it is false.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// What the packets begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkType {
    /// An Ethernet header.
    Ethernet,
    /// An IPv4 or IPv6 header, as on tunnels and tun interfaces.
    RawIp,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Which bytes of the expression are meant.
    pub at: Range<usize>,
}

impl FilterError {
    fn new(message: impl Into<String>, at: Range<usize>) -> FilterError {
        FilterError {
            message: message.into(),
            help: None,
            at,
        }
    }

    fn help(self, help: impl Into<String>) -> FilterError {
        FilterError {
            help: Some(help.into()),
            ..self
        }
    }

    /// The expression with a mark below the place, in two lines. Of a long one only what is around the place.
    pub fn excerpt(&self, text: &str) -> String {
        const AROUND: usize = 40;
        let shown = |part: &str| -> String {
            part.chars()
                .map(|it| if it.is_control() { '?' } else { it })
                .collect()
        };
        let (start, end) = (
            floor(text, self.at.start),
            floor(text, self.at.end.max(self.at.start)),
        );
        let from = floor(text, start.saturating_sub(AROUND));
        let until = floor(text, end.saturating_add(AROUND));
        let marked = shown(&text[start..end]).chars().count().clamp(1, 2 * AROUND);
        format!(
            "{}\n{}{}",
            shown(&text[from..until]),
            " ".repeat(text[from..start].chars().count()),
            "^".repeat(marked)
        )
    }
}

/// The boundary of a character at or before a place.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at character {})", self.message, self.at.start + 1)
    }
}

impl std::error::Error for FilterError {}

/// Compiles an expression. The program returns [`ALL`] for a packet that matches and 0 for any other. It takes VLAN tags for part
/// of the packet's bytes, as they are in files. The empty expression matches every packet.
///
/// # Errors
/// It is no expression, matches no packet of that type at all, is not supported, or too long.
pub fn compile(text: &str, link: LinkType) -> Result<Vec<Instruction>, FilterError> {
    program(lower(text, link, Tags::InPacket)?.0, text, ALL)
}

/// The same for a filter that the kernel runs, on a socket or as cls_bpf: there the outer VLAN tag is beside the packet, mostly. A
/// packet that matches gives `accept`, which is for a socket how many of its bytes are kept.
///
/// # Errors
/// As those of [`compile`].
pub fn compile_for_kernel(text: &str, link: LinkType, accept: u32) -> Result<Vec<Instruction>, FilterError> {
    let (in_packet, has_vlan) = lower(text, link, Tags::InPacket)?;
    if !has_vlan {
        return program(in_packet, text, accept);
    }
    let (beside, _) = lower(text, link, Tags::BesidePacket)?;
    let tagged = Condition::all([primitive::tag_is_beside(), beside]);
    let other = Condition::all([primitive::tag_is_beside().negated(), in_packet]);
    program(Condition::any([tagged, other]), text, accept)
}

/// The condition of an expression, and whether it speaks of VLANs.
fn lower(text: &str, link: LinkType, tags: Tags) -> Result<(Condition, bool), FilterError> {
    let mut layout = Layout::new(link, tags);
    let condition = match parser::parse(text)? {
        Some(expression) => lower::expression(&expression, &mut layout)?,
        None => Condition::Always(true),
    };
    Ok((condition, layout.vlans > 0))
}

fn program(condition: Condition, text: &str, accept: u32) -> Result<Vec<Instruction>, FilterError> {
    let condition = condition.simplified();
    if condition.is_never_true() {
        return Err(FilterError::new(
            "the filter matches no packet at all",
            0..text.len(),
        ));
    }
    let program = emit::emit(&condition, accept);
    match program.len() <= LONGEST_PROGRAM {
        true => Ok(program),
        false => {
            let message = format!(
                "the filter takes {} instructions, and the kernel takes {LONGEST_PROGRAM} at most",
                program.len()
            );
            Err(FilterError::new(message, 0..text.len())
                .help("use fewer terms, or networks in the place of addresses"))
        }
    }
}

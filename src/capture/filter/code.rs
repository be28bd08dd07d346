//! Codes of instructions (linux/bpf_common.h, linux/filter.h).

/// Loads into the accumulator.
pub const LD: u16 = 0x00;
/// Loads into the index register.
pub const LDX: u16 = 0x01;
/// Stores the accumulator.
pub const ST: u16 = 0x02;
/// Calculates.
pub const ALU: u16 = 0x04;
/// Jumps.
pub const JMP: u16 = 0x05;
/// Ends.
pub const RET: u16 = 0x06;
/// Copies between the registers.
pub const MISC: u16 = 0x07;

/// 32 bits.
pub const W: u16 = 0x00;
/// 16 bits.
pub const H: u16 = 0x08;
/// 8 bits.
pub const B: u16 = 0x10;

/// The operand itself.
pub const IMM: u16 = 0x00;
/// A place in the packet.
pub const ABS: u16 = 0x20;
/// A place in the packet, counted from the index register.
pub const IND: u16 = 0x40;
/// A word of the scratch memory.
pub const MEM: u16 = 0x60;
/// The packet's length.
pub const LEN: u16 = 0x80;
/// The length of an IPv4 header by its first byte.
pub const MSH: u16 = 0xa0;

pub const ADD: u16 = 0x00;
pub const SUB: u16 = 0x10;
pub const MUL: u16 = 0x20;
pub const DIV: u16 = 0x30;
pub const OR: u16 = 0x40;
pub const AND: u16 = 0x50;
pub const LSH: u16 = 0x60;
pub const RSH: u16 = 0x70;
pub const NEG: u16 = 0x80;
pub const MOD: u16 = 0x90;
pub const XOR: u16 = 0xa0;

pub const JA: u16 = 0x00;
pub const JEQ: u16 = 0x10;
pub const JGT: u16 = 0x20;
pub const JGE: u16 = 0x30;
pub const JSET: u16 = 0x40;

/// The second operand is in the instruction.
pub const K: u16 = 0x00;
/// The second operand is in the index register.
pub const X: u16 = 0x08;

/// Index register from accumulator.
pub const TAX: u16 = 0x00;

/// How many words of scratch memory there are.
pub const WORDS: u32 = 16;

/// What the kernel knows of a packet beside its bytes begins here (SKF_AD_OFF).
pub const BESIDE: u32 = -0x1000_i32 as u32;
/// Which way it goes (SKF_AD_PKTTYPE).
pub const PACKET_TYPE: u32 = BESIDE + 4;
/// Its VLAN tag (SKF_AD_VLAN_TAG).
pub const VLAN_TAG: u32 = BESIDE + 44;
/// Whether it has one (SKF_AD_VLAN_TAG_PRESENT).
pub const VLAN_TAG_PRESENT: u32 = BESIDE + 48;
/// A packet that leaves (linux/if_packet.h, PACKET_OUTGOING).
pub const OUTGOING: u32 = 4;

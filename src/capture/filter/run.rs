//! Runs programs as the kernel does, for tests and for packets that are in a file.

use super::{Instruction, code};

/// Which way a packet goes, seen from its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It arrives.
    In,
    /// It leaves.
    Out,
}

/// A packet, and what the kernel knows of it beside its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'b> {
    /// Its bytes, as far as they were kept.
    pub bytes: &'b [u8],
    /// How long it was.
    pub length: u32,
    /// Which way it goes.
    pub direction: Direction,
    /// The VLAN tag that is beside it.
    pub tag: Option<u16>,
}

/// What a program returns of a packet; 0 means that it does not match. A program that does what the kernel does not allow returns
/// 0 as well.
pub fn matches(program: &[Instruction], packet: &Packet<'_>) -> u32 {
    run(program, packet).unwrap_or(0)
}

/// `None` where a load leads out of the packet.
fn run(program: &[Instruction], packet: &Packet<'_>) -> Option<u32> {
    let (mut a, mut x, mut at) = (0u32, 0u32, 0usize);
    let mut memory = [0u32; code::WORDS as usize];
    // It ends, as all jumps lead forward.
    loop {
        let step = program.get(at)?;
        at += 1;
        match step.code & 7 {
            code::LD => a = load(step, x, &memory, packet)?,
            code::LDX if step.code & 0xe0 == code::MSH => {
                x = 4 * u32::from(*packet.bytes.get(step.k as usize)? & 0xf)
            }
            code::LDX => x = load(step, x, &memory, packet)?,
            // STX is ST with the lowest bit.
            code::ST => *memory.get_mut(step.k as usize)? = a,
            3 => *memory.get_mut(step.k as usize)? = x,
            code::ALU => a = calculate(step, a, x)?,
            code::JMP => at = at.checked_add(jump(step, a, x))?,
            code::RET => return Some(if step.code & 0x18 == 0x10 { a } else { step.k }),
            _ if step.code & 0xf8 == code::TAX => x = a,
            _ => a = x,
        }
    }
}

fn load(step: &Instruction, x: u32, memory: &[u32], packet: &Packet<'_>) -> Option<u32> {
    let size = match step.code & 0x18 {
        code::W => 4,
        code::H => 2,
        _ => 1,
    };
    match step.code & 0xe0 {
        code::IMM => Some(step.k),
        code::MEM => memory.get(step.k as usize).copied(),
        code::LEN => Some(packet.length),
        code::ABS => match step.k {
            code::PACKET_TYPE => Some(if packet.direction == Direction::Out {
                code::OUTGOING
            } else {
                0
            }),
            code::VLAN_TAG => Some(packet.tag.unwrap_or(0).into()),
            code::VLAN_TAG_PRESENT => Some(packet.tag.is_some().into()),
            place => bytes(packet.bytes, place, size),
        },
        _ => bytes(packet.bytes, x.checked_add(step.k)?, size),
    }
}

fn bytes(all: &[u8], place: u32, size: usize) -> Option<u32> {
    let place = place as usize;
    let found = all.get(place..place.checked_add(size)?)?;
    Some(found.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
}

fn calculate(step: &Instruction, a: u32, x: u32) -> Option<u32> {
    let operand = if step.code & code::X != 0 { x } else { step.k };
    Some(match step.code & 0xf0 {
        code::ADD => a.wrapping_add(operand),
        code::SUB => a.wrapping_sub(operand),
        code::MUL => a.wrapping_mul(operand),
        code::DIV => a.checked_div(operand)?,
        code::MOD => a.checked_rem(operand)?,
        code::OR => a | operand,
        code::AND => a & operand,
        code::XOR => a ^ operand,
        code::LSH => a.wrapping_shl(operand),
        code::RSH => a.wrapping_shr(operand),
        _ => a.wrapping_neg(),
    })
}

fn jump(step: &Instruction, a: u32, x: u32) -> usize {
    let operand = if step.code & code::X != 0 { x } else { step.k };
    let holds = match step.code & 0xf0 {
        code::JA => return step.k as usize,
        code::JEQ => a == operand,
        code::JGT => a > operand,
        code::JGE => a >= operand,
        _ => a & operand != 0,
    };
    usize::from(if holds { step.jt } else { step.jf })
}

//! Programs of classic BPF at interfaces (linux/filter.h). They see frames from their Ethernet header on.

use crate::kernel::tc::{Instruction, UNSPEC};
use crate::lab::impair::{Share, filter};

/// Loads a word: here a random one.
const LOAD: u16 = 0x20;
const RANDOM: u32 = 0xffff_f000 + 56;
const JUMP: u16 = 0x05;
const JUMP_UNLESS_LESS: u16 = 0x35;
const RETURN: u16 = 0x06;
const RETURN_ACCUMULATOR: u16 = 0x16;

/// What is wrong with a filter, and what to do.
pub type Wrong = (String, String);

/// One that gives every packet the same verdict.
pub fn always(verdict: u32) -> Vec<Instruction> {
    vec![give(verdict)]
}

/// One that chooses the packets that a filter matches; all where none is given.
///
/// # Errors
/// It is no filter.
pub fn choose(only: Option<&str>) -> Result<Vec<Instruction>, Wrong> {
    match only {
        None => Ok(always(u32::MAX)),
        Some(text) => parsed(text),
    }
}

/// One that gives a share of the packets that a filter matches a verdict, drawn for each.
///
/// # Errors
/// It is no filter.
pub fn draw(share: Share, only: Option<&str>, verdict: u32) -> Result<Vec<Instruction>, Wrong> {
    let mut program = match only {
        None => Vec::new(),
        Some(text) => chained(parsed(text)?)?,
    };
    if share.is_whole() {
        program.push(give(verdict));
        return Ok(program);
    }
    program.extend([
        Instruction {
            code: LOAD,
            jt: 0,
            jf: 0,
            k: RANDOM,
        },
        Instruction {
            code: JUMP_UNLESS_LESS,
            jt: 1,
            jf: 0,
            k: share.of_u32(),
        },
        give(verdict),
        give(UNSPEC),
    ]);
    Ok(program)
}

fn give(verdict: u32) -> Instruction {
    Instruction {
        code: RETURN,
        jt: 0,
        jf: 0,
        k: verdict,
    }
}

fn parsed(text: &str) -> Result<Vec<Instruction>, Wrong> {
    let program = filter(text)?;
    let own = |it: &nslab_capture::filter::Instruction| Instruction {
        code: it.code,
        jt: it.jt,
        jf: it.jf,
        k: it.k,
    };
    Ok(program.iter().map(own).collect())
}

/// A filter that goes on behind its end with what it matches, and has no word on the rest.
fn chained(mut program: Vec<Instruction>) -> Result<Vec<Instruction>, Wrong> {
    let length = program.len();
    for (at, it) in program.iter_mut().enumerate() {
        match (it.code, it.k) {
            (RETURN, 0) => it.k = UNSPEC,
            (RETURN, _) => {
                *it = Instruction {
                    code: JUMP,
                    jt: 0,
                    jf: 0,
                    // Programs are short.
                    k: (length - at - 1) as u32,
                }
            }
            (RETURN_ACCUMULATOR, _) => {
                let message = "this filter computes what it returns".to_owned();
                return Err((message, "write one that matches or does not".to_owned()));
            }
            _ => {}
        }
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_leads_to_the_draw() {
        let program = draw("50%".parse().unwrap(), Some("icmp"), 2).unwrap();
        let draw = program.len() - 4;
        assert_eq!(program[draw].code, LOAD);
        let jumps: Vec<usize> = (0..draw)
            .filter(|at| program[*at].code == JUMP)
            .map(|at| at + 1 + program[at].k as usize)
            .collect();
        assert!(!jumps.is_empty());
        assert!(jumps.iter().all(|to| *to == draw), "{program:?}");
        assert!(
            program[..draw]
                .iter()
                .all(|it| it.code != RETURN || it.k == UNSPEC)
        );
    }

    #[test]
    fn nonsense_is_no_filter() {
        assert!(choose(Some("tcp prot 5")).is_err());
        assert!(draw("1%".parse().unwrap(), Some("((("), 2).is_err());
    }
}

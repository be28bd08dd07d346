//! Conditions become programs. All jumps lead forward.

use std::collections::HashMap;

use super::condition::{Condition, Load, Step, Test};
use super::{Instruction, code};

/// A place in the program that is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Label(usize);

const ACCEPT: Label = Label(0);
const REJECT: Label = Label(1);

/// Part of a program whose jumps have labels.
enum Item {
    Step(Step),
    Branch(Test, Label, Label),
    Jump(Label),
    Label(Label),
}

/// What the registers hold.
#[derive(Debug, Clone, Default, PartialEq)]
struct Registers {
    accumulator: Option<Load>,
    index: Option<Step>,
}

/// The program of a condition, which returns `accept` where it is true and 0 elsewhere.
pub fn emit(condition: &Condition, accept: u32) -> Vec<Instruction> {
    let mut emitter = Emitter {
        items: Vec::new(),
        labels: 2,
        registers: Some(Registers::default()),
        coming: HashMap::new(),
    };
    emitter.condition(condition, ACCEPT, REJECT);
    let give = |k| {
        Item::Step(Step {
            code: code::RET | code::K,
            k,
        })
    };
    emitter
        .items
        .extend([Item::Label(ACCEPT), give(accept), Item::Label(REJECT), give(0)]);
    assemble(&emitter.items)
}

struct Emitter {
    items: Vec<Item>,
    labels: usize,
    /// None where no way leads here.
    registers: Option<Registers>,
    /// What the registers hold on all ways to a label.
    coming: HashMap<Label, Registers>,
}

impl Emitter {
    fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    /// Goes to one label or the other.
    fn condition(&mut self, condition: &Condition, yes: Label, no: Label) {
        match condition {
            Condition::Always(answer) => self.jump(if *answer { yes } else { no }),
            Condition::Not(inner) => self.condition(inner, no, yes),
            Condition::Test(load, test) => self.test(load, *test, yes, no),
            Condition::All(parts) => self.chain(parts, yes, no, true),
            Condition::Any(parts) => self.chain(parts, no, yes, false),
        }
    }

    /// Parts in order; the first that is not as wanted leads out, and the last one to the end.
    fn chain(&mut self, parts: &[Condition], end: Label, out: Label, wanted: bool) {
        let Some((last, before)) = parts.split_last() else {
            return self.jump(end);
        };
        for part in before {
            let next = self.label();
            let (yes, no) = if wanted { (next, out) } else { (out, next) };
            self.condition(part, yes, no);
            self.bind(next);
        }
        let (yes, no) = if wanted { (end, out) } else { (out, end) };
        self.condition(last, yes, no);
    }

    fn test(&mut self, load: &Load, test: Test, yes: Label, no: Label) {
        let mut registers = self.registers.take().unwrap_or_default();
        let is_there = registers.accumulator.as_ref() == Some(load) && test.operand.is_some();
        if !is_there {
            for step in load.steps() {
                let is_index = step.code == code::LDX | code::B | code::MSH;
                if is_index && registers.index == Some(*step) {
                    continue;
                }
                self.items.push(Item::Step(*step));
                match step.code & 7 {
                    code::LDX => registers.index = is_index.then_some(*step),
                    code::MISC => registers.index = None,
                    _ => {}
                }
            }
            registers.accumulator = test.operand.map(|_| load.clone());
        }
        self.items.push(Item::Branch(test, yes, no));
        for label in [yes, no] {
            self.come(label, &registers);
        }
    }

    fn jump(&mut self, to: Label) {
        self.items.push(Item::Jump(to));
        let registers = self.registers.take().unwrap_or_default();
        self.come(to, &registers);
    }

    fn come(&mut self, to: Label, registers: &Registers) {
        let known = self.coming.entry(to).or_insert_with(|| registers.clone());
        if known.accumulator != registers.accumulator {
            known.accumulator = None;
        }
        if known.index != registers.index {
            known.index = None;
        }
    }

    fn bind(&mut self, label: Label) {
        self.items.push(Item::Label(label));
        self.registers = self.coming.remove(&label);
    }
}

/// Gives labels their places, from the end, so that each jump knows how far it leads. Those that lead further than a comparison
/// can are made in two.
fn assemble(items: &[Item]) -> Vec<Instruction> {
    let mut reversed: Vec<Instruction> = Vec::new();
    // How many instructions there are from a label to the end.
    let mut places: HashMap<Label, usize> = HashMap::new();
    let jump = |k: usize| Instruction {
        code: code::JMP | code::JA,
        jt: 0,
        jf: 0,
        // Programs are far shorter than that.
        k: k as u32,
    };
    for item in items.iter().rev() {
        let here = reversed.len();
        let far = |label: &Label, here: usize| here - places.get(label).copied().unwrap_or(here);
        match item {
            Item::Label(label) => {
                places.insert(*label, here);
            }
            Item::Step(step) => reversed.push(Instruction {
                code: step.code,
                jt: 0,
                jf: 0,
                k: step.k,
            }),
            Item::Jump(to) => {
                if far(to, here) > 0 {
                    reversed.push(jump(far(to, here)));
                }
            }
            Item::Branch(test, yes, no) => {
                // One jump for either may come between.
                const NEAR: usize = 254;
                let mut offsets = [0, 0];
                for (label, offset) in [yes, no].into_iter().zip(&mut offsets) {
                    if far(label, here) > NEAR {
                        let to = far(label, reversed.len());
                        reversed.push(jump(to));
                        *offset = reversed.len();
                    }
                }
                let now = reversed.len();
                let near = |label: &Label, place: usize| match place {
                    0 => far(label, now),
                    place => now - place,
                };
                let source = if test.operand.is_some() { code::K } else { code::X };
                reversed.push(Instruction {
                    code: code::JMP | test.jump | source,
                    jt: near(yes, offsets[0]) as u8,
                    jf: near(no, offsets[1]) as u8,
                    k: test.operand.unwrap_or(0),
                });
            }
        }
    }
    reversed.reverse();
    reversed
}

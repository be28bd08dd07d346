//! Conditions: trees of comparisons of what is loaded from a packet, before they become a program.

use std::rc::Rc;

use super::code;

/// A step that does not jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub code: u16,
    pub k: u32,
}

/// Steps that leave a value in the accumulator, the same one whenever they run on the same packet. A load beyond the end of the
/// packet ends the program: the packet does not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load(Rc<[Step]>);

impl Load {
    pub fn new(steps: Vec<Step>) -> Load {
        Load(steps.into())
    }

    pub fn of(code: u16, k: u32) -> Load {
        Load::new(vec![Step { code, k }])
    }

    /// The same with the bits of a mask alone.
    pub fn masked(&self, mask: u32) -> Load {
        let and = Step {
            code: code::ALU | code::AND | code::K,
            k: mask,
        };
        Load::new(self.0.iter().copied().chain([and]).collect())
    }

    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

/// How what was loaded is compared: the code of the jump, and the other operand; none is the index register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Test {
    pub jump: u16,
    pub operand: Option<u32>,
}

impl Test {
    pub fn equal(to: u32) -> Test {
        Test {
            jump: code::JEQ,
            operand: Some(to),
        }
    }

    pub fn of(jump: u16, operand: u32) -> Test {
        Test {
            jump,
            operand: Some(operand),
        }
    }

    /// What it says of a value, if that can be known.
    fn says(self, value: u32) -> Option<bool> {
        let operand = self.operand?;
        Some(match self.jump {
            code::JEQ => value == operand,
            code::JGT => value > operand,
            code::JGE => value >= operand,
            _ => value & operand != 0,
        })
    }
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Always(bool),
    Test(Load, Test),
    Not(Box<Condition>),
    /// From the first to the last, until one is false.
    All(Vec<Condition>),
    /// From the first to the last, until one is true.
    Any(Vec<Condition>),
}

/// What is known of a packet at some place of a tree.
type Facts = Vec<(Load, Test, bool)>;

/// No more is remembered: a long list of ports must not take long to compile.
const MOST_FACTS: usize = 256;

impl Condition {
    pub fn all(parts: impl IntoIterator<Item = Condition>) -> Condition {
        Condition::All(parts.into_iter().collect())
    }

    pub fn any(parts: impl IntoIterator<Item = Condition>) -> Condition {
        Condition::Any(parts.into_iter().collect())
    }

    pub fn negated(self) -> Condition {
        Condition::Not(Box::new(self))
    }

    /// The same without what is known already where it is asked.
    pub fn simplified(self) -> Condition {
        self.knowing(&mut Facts::new())
    }

    fn knowing(self, facts: &mut Facts) -> Condition {
        match self {
            Condition::Always(_) => self,
            Condition::Test(load, test) => match known(facts, &load, test) {
                Some(answer) => Condition::Always(answer),
                None => Condition::Test(load, test),
            },
            Condition::Not(inner) => match inner.knowing(facts) {
                Condition::Always(answer) => Condition::Always(!answer),
                Condition::Not(inner) => *inner,
                other => other.negated(),
            },
            Condition::All(parts) => chain(parts, facts, true),
            Condition::Any(parts) => chain(parts, facts, false),
        }
    }

    /// Adds what follows from this being true, or false.
    fn implies(&self, is_true: bool, facts: &mut Facts) {
        match (self, is_true) {
            (Condition::Test(load, test), _) if facts.len() < MOST_FACTS => {
                facts.push((load.clone(), *test, is_true));
            }
            (Condition::Not(inner), _) => inner.implies(!is_true, facts),
            (Condition::All(parts), true) | (Condition::Any(parts), false) => {
                for part in parts {
                    part.implies(is_true, facts);
                }
            }
            _ => {}
        }
    }

    /// Whether no packet fits, as far as can be seen.
    pub fn is_never_true(&self) -> bool {
        match self {
            Condition::Always(answer) => !answer,
            Condition::Test(..) => false,
            Condition::Not(inner) => inner.is_never_false(),
            Condition::All(parts) => parts.iter().any(Condition::is_never_true),
            Condition::Any(parts) => parts.iter().all(Condition::is_never_true),
        }
    }

    fn is_never_false(&self) -> bool {
        match self {
            Condition::Always(answer) => *answer,
            Condition::Test(..) => false,
            Condition::Not(inner) => inner.is_never_true(),
            Condition::All(parts) => parts.iter().all(Condition::is_never_false),
            Condition::Any(_) => false,
        }
    }
}

/// All parts (or one of them) in order, each knowing that those before it were true (or false).
fn chain(parts: Vec<Condition>, facts: &mut Facts, all: bool) -> Condition {
    let before = facts.len();
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        let part = part.knowing(facts);
        match part {
            Condition::Always(answer) if answer == all => continue,
            Condition::Always(_) => {
                kept.push(part);
                break;
            }
            _ => part.implies(all, facts),
        }
        kept.push(part);
    }
    facts.truncate(before);
    match (kept.len(), kept.pop()) {
        (1, Some(only)) => only,
        (_, None) => Condition::Always(all),
        (_, Some(last)) => {
            kept.push(last);
            if all {
                Condition::All(kept)
            } else {
                Condition::Any(kept)
            }
        }
    }
}

fn known(facts: &Facts, load: &Load, test: Test) -> Option<bool> {
    facts
        .iter()
        .filter(|(of, ..)| of == load)
        .find_map(|(_, said, answer)| match (said.jump, said.operand) {
            _ if *said == test => Some(*answer),
            (code::JEQ, Some(value)) if *answer => test.says(value),
            _ => None,
        })
}

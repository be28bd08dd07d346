//! Comparisons of numbers that are calculated from the packet.

use super::condition::{Condition, Load, Step, Test};
use super::layout::{Layout, Size};
use super::syntax::{Arithmetic, Operator, Protocol, Relation, Term};
use super::{FilterError, code, lower};

/// No place in a packet is further away.
const FURTHEST: u32 = 0xffff;

/// What stands behind the header of IPv4, whose length is in it.
pub fn behind_v4(layout: &Layout, offset: u32, size: Size) -> Load {
    Load::new(vec![
        header_length(layout),
        Step {
            code: code::LD | size.code() | code::IND,
            k: layout.network() + offset,
        },
    ])
}

fn header_length(layout: &Layout) -> Step {
    Step {
        code: code::LDX | code::B | code::MSH,
        k: layout.network(),
    }
}

/// The condition of a comparison. Where a protocol's header is asked that the packet has not, it is false.
///
/// # Errors
/// It is too complex, divides by zero, or asks what is not supported.
pub fn relation(
    left: &Arithmetic,
    relation: Relation,
    right: &Arithmetic,
    layout: &Layout,
) -> Result<Condition, FilterError> {
    let (left, right) = (folded(left)?, folded(right)?);
    // A number comes last.
    let (left, relation, right) = match (&left.what, &right.what) {
        (Term::Number(_), Term::Number(_)) => (left, relation, right),
        (Term::Number(_), _) => (right, mirrored(relation), left),
        _ => (left, relation, right),
    };
    let mut builder = Builder {
        layout,
        steps: Vec::new(),
        conditions: Vec::new(),
    };
    let (jump, is_negated) = match relation {
        Relation::Equal => (code::JEQ, false),
        Relation::NotEqual => (code::JEQ, true),
        Relation::Greater => (code::JGT, false),
        Relation::LessOrEqual => (code::JGT, true),
        Relation::GreaterOrEqual => (code::JGE, false),
        Relation::Less => (code::JGE, true),
    };
    let comparison = match (&left.what, &right.what) {
        (Term::Number(left), Term::Number(right)) => {
            let is_true = match jump {
                code::JEQ => left == right,
                code::JGT => left > right,
                _ => left >= right,
            };
            Condition::Always(is_true)
        }
        (_, Term::Number(number)) => {
            builder.value(&left, 0)?;
            Condition::Test(Load::new(builder.steps), Test::of(jump, *number))
        }
        _ => {
            builder.both(&left, &right, 0)?;
            let test = Test { jump, operand: None };
            Condition::Test(Load::new(builder.steps), test)
        }
    };
    let comparison = if is_negated {
        comparison.negated()
    } else {
        comparison
    };
    Ok(Condition::all(builder.conditions.into_iter().chain([comparison])))
}

fn mirrored(relation: Relation) -> Relation {
    match relation {
        Relation::Greater => Relation::Less,
        Relation::Less => Relation::Greater,
        Relation::GreaterOrEqual => Relation::LessOrEqual,
        Relation::LessOrEqual => Relation::GreaterOrEqual,
        same => same,
    }
}

/// The same with what can be calculated without a packet.
fn folded(number: &Arithmetic) -> Result<Arithmetic, FilterError> {
    let what = match &number.what {
        Term::Number(_) | Term::Length => return Ok(number.clone()),
        Term::Load(protocol, at, size) => Term::Load(*protocol, Box::new(folded(at)?), *size),
        Term::Negative(inner) => match folded(inner)? {
            Arithmetic {
                what: Term::Number(it),
                ..
            } => Term::Number(it.wrapping_neg()),
            other => Term::Negative(Box::new(other)),
        },
        Term::Binary(operator, left, right) => {
            let (left, right) = (folded(left)?, folded(right)?);
            if let Term::Number(right) = right.what {
                check(*operator, right, number)?;
            }
            match (&left.what, &right.what) {
                (&Term::Number(left), &Term::Number(right)) => {
                    Term::Number(calculated(*operator, left, right))
                }
                _ => Term::Binary(*operator, Box::new(left), Box::new(right)),
            }
        }
    };
    Ok(Arithmetic {
        what,
        at: number.at.clone(),
    })
}

/// What the kernel refuses to calculate.
fn check(operator: Operator, right: u32, of: &Arithmetic) -> Result<(), FilterError> {
    let message = match operator {
        Operator::Divide | Operator::Modulo if right == 0 => "this divides by zero",
        Operator::ShiftLeft | Operator::ShiftRight if right > 31 => "this shifts by more than 31 bits",
        _ => return Ok(()),
    };
    Err(FilterError::new(message, of.at.clone()))
}

fn calculated(operator: Operator, left: u32, right: u32) -> u32 {
    match operator {
        Operator::Add => left.wrapping_add(right),
        Operator::Subtract => left.wrapping_sub(right),
        Operator::Multiply => left.wrapping_mul(right),
        Operator::Divide => left.checked_div(right).unwrap_or(0),
        Operator::Modulo => left.checked_rem(right).unwrap_or(0),
        Operator::And => left & right,
        Operator::Or => left | right,
        Operator::Xor => left ^ right,
        Operator::ShiftLeft => left.checked_shl(right).unwrap_or(0),
        Operator::ShiftRight => left.checked_shr(right).unwrap_or(0),
    }
}

fn alu(operator: Operator) -> u16 {
    code::ALU
        | match operator {
            Operator::Add => code::ADD,
            Operator::Subtract => code::SUB,
            Operator::Multiply => code::MUL,
            Operator::Divide => code::DIV,
            Operator::Modulo => code::MOD,
            Operator::And => code::AND,
            Operator::Or => code::OR,
            Operator::Xor => code::XOR,
            Operator::ShiftLeft => code::LSH,
            Operator::ShiftRight => code::RSH,
        }
}

/// Collects the steps of a calculation, and what has to be true of the packet for it.
struct Builder<'l> {
    layout: &'l Layout,
    steps: Vec<Step>,
    conditions: Vec<Condition>,
}

impl Builder<'_> {
    fn step(&mut self, code: u16, k: u32) {
        self.steps.push(Step { code, k });
    }

    /// Leaves a number in the accumulator. Words of the scratch memory from `free` on may be used.
    fn value(&mut self, number: &Arithmetic, free: u32) -> Result<(), FilterError> {
        match &number.what {
            Term::Number(value) => self.step(code::LD | code::IMM, *value),
            Term::Length => self.step(code::LD | code::W | code::LEN, 0),
            Term::Negative(inner) => {
                self.value(inner, free)?;
                self.step(code::ALU | code::NEG, 0);
            }
            Term::Binary(operator, left, right) => match right.what {
                Term::Number(value) => {
                    self.value(left, free)?;
                    self.step(alu(*operator) | code::K, value);
                }
                _ => {
                    self.both(left, right, free)?;
                    self.step(alu(*operator) | code::X, 0);
                }
            },
            Term::Load(protocol, at, size) => self.load(number, *protocol, at, *size, free)?,
        }
        Ok(())
    }

    /// Leaves one number in the accumulator, and another in the index register.
    fn both(&mut self, left: &Arithmetic, right: &Arithmetic, free: u32) -> Result<(), FilterError> {
        if free >= code::WORDS {
            return Err(FilterError::new(
                "this calculation is too complex",
                right.at.clone(),
            ));
        }
        self.value(right, free)?;
        self.step(code::ST, free);
        self.value(left, free + 1)?;
        self.step(code::LDX | code::W | code::MEM, free);
        Ok(())
    }

    fn load(
        &mut self,
        number: &Arithmetic,
        protocol: Protocol,
        at: &Arithmetic,
        size: u32,
        free: u32,
    ) -> Result<(), FilterError> {
        let (base, is_behind_v4) = self.base(protocol, number)?;
        let code = code::LD
            | match size {
                1 => code::B,
                2 => code::H,
                _ => code::W,
            };
        let Term::Number(offset) = at.what else {
            self.value(at, free)?;
            if is_behind_v4 {
                if free >= code::WORDS {
                    return Err(FilterError::new(
                        "this calculation is too complex",
                        number.at.clone(),
                    ));
                }
                self.step(code::ST, free);
                let length = header_length(self.layout);
                self.steps.push(length);
                self.step(code::LD | code::W | code::MEM, free);
                self.step(code::ALU | code::ADD | code::X, 0);
            }
            self.step(code::MISC | code::TAX, 0);
            self.step(code | code::IND, base);
            return Ok(());
        };
        if offset > FURTHEST {
            let message = format!("no packet is that long: {FURTHEST} is the last place");
            return Err(FilterError::new(message, at.at.clone()));
        }
        if is_behind_v4 {
            let length = header_length(self.layout);
            self.steps.push(length);
            self.step(code | code::IND, base + offset);
        } else {
            self.step(code | code::ABS, base + offset);
        }
        Ok(())
    }

    /// Where the header of a protocol begins, and whether that is behind IPv4's. What has to be true for that is noted.
    fn base(&mut self, protocol: Protocol, number: &Arithmetic) -> Result<(u32, bool), FilterError> {
        let layout = self.layout;
        let (condition, base, is_behind_v4) = match protocol {
            Protocol::Ether => return Ok((0, false)),
            Protocol::Ip | Protocol::Ip6 | Protocol::Arp | Protocol::Rarp => (
                lower::protocol(protocol, layout, &number.at)?,
                layout.network(),
                false,
            ),
            Protocol::Icmp6 => (
                lower::plain_icmp6(layout, &number.at)?,
                layout.network() + 40,
                false,
            ),
            Protocol::Tcp => (self.transport(6, number)?, layout.network(), true),
            Protocol::Udp => (self.transport(17, number)?, layout.network(), true),
            Protocol::Sctp => (self.transport(132, number)?, layout.network(), true),
            Protocol::Icmp => (self.transport(1, number)?, layout.network(), true),
            Protocol::Igmp => (self.transport(2, number)?, layout.network(), true),
            Protocol::Igrp => (self.transport(9, number)?, layout.network(), true),
            Protocol::Pim => (self.transport(103, number)?, layout.network(), true),
            Protocol::Vrrp | Protocol::Carp => (self.transport(112, number)?, layout.network(), true),
            _ => {
                let message = "places in this protocol's header are not supported";
                return Err(FilterError::new(message, number.at.clone()).help("count from `ether` or `ip`"));
            }
        };
        self.conditions.push(condition);
        Ok((base, is_behind_v4))
    }

    fn transport(&self, protocol: u32, number: &Arithmetic) -> Result<Condition, FilterError> {
        let is_it = lower::in_v4(protocol, self.layout, &number.at)?;
        Ok(Condition::all([is_it, lower::is_no_later_fragment(self.layout)]))
    }
}

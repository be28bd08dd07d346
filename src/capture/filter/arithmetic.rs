//! Reads arithmetic and comparisons. `%` and `^` bind as in libpcap: on their left closer than any other operator, and on
//! their right all that follows.

use super::FilterError;
use super::lexer::{Sign, Token};
use super::names;
use super::parser::{Item, Parser};
use super::syntax::{Arithmetic, Expression, Operator, Primitive, Relation, Term};

/// An operator with how closely it binds on its left and on its right.
fn operator(sign: Sign) -> Option<(Operator, u8, u8)> {
    Some(match sign {
        Sign::Or => (Operator::Or, 1, 2),
        Sign::And => (Operator::And, 3, 4),
        Sign::ShiftLeft => (Operator::ShiftLeft, 5, 6),
        Sign::ShiftRight => (Operator::ShiftRight, 5, 6),
        Sign::Plus => (Operator::Add, 7, 8),
        Sign::Minus => (Operator::Subtract, 7, 8),
        Sign::Times => (Operator::Multiply, 9, 10),
        Sign::Slash => (Operator::Divide, 9, 10),
        Sign::Percent => (Operator::Modulo, 20, 0),
        Sign::Xor => (Operator::Xor, 20, 0),
        _ => return None,
    })
}

/// How closely the sign of a number binds.
const NEGATIVE: u8 = 11;

fn relation(sign: Sign) -> Option<Relation> {
    Some(match sign {
        Sign::Equal => Relation::Equal,
        Sign::NotEqual => Relation::NotEqual,
        Sign::Greater => Relation::Greater,
        Sign::GreaterOrEqual => Relation::GreaterOrEqual,
        Sign::Less => Relation::Less,
        Sign::LessOrEqual => Relation::LessOrEqual,
        _ => return None,
    })
}

impl Parser {
    /// Whether arithmetic begins here.
    pub fn begins_arithmetic(&self) -> bool {
        match self.peek() {
            Some(Token::Number(_) | Token::Sign(Sign::Minus)) => true,
            Some(Token::Word(word)) => {
                let is_index = self.look(1) == Some(&Token::Sign(Sign::OpenIndex));
                matches!(word.as_str(), "len" | "length") || is_index || names::number(word).is_some()
            }
            _ => false,
        }
    }

    /// A comparison, whose left side has begun perhaps; arithmetic alone where no comparison follows.
    pub fn relation(&mut self, start: usize, begun: Option<Arithmetic>) -> Result<Item, FilterError> {
        let left = match begun {
            Some(number) => self.operators(number, 0)?,
            None => self.number(0)?,
        };
        let Some(&Token::Sign(sign)) = self.peek() else {
            return Ok(Item::Arithmetic(left));
        };
        let Some(relation) = relation(sign) else {
            return Ok(Item::Arithmetic(left));
        };
        self.take();
        let right = self.number(0)?;
        self.last = None;
        let primitive = Primitive::Relation(Box::new(left), relation, Box::new(right));
        Ok(Item::Expression(Expression::Primitive(
            primitive,
            self.since(start),
        )))
    }

    /// A number and all that binds to it as closely as said.
    fn number(&mut self, least: u8) -> Result<Arithmetic, FilterError> {
        let first = self.deeper(Parser::operand)?;
        self.operators(first, least)
    }

    /// The operators that follow a number.
    fn operators(&mut self, first: Arithmetic, least: u8) -> Result<Arithmetic, FilterError> {
        let mut left = first;
        let mut count = 0;
        loop {
            let Some(&Token::Sign(sign)) = self.peek() else {
                return Ok(left);
            };
            let Some((operator, before, after)) = operator(sign) else {
                return Ok(left);
            };
            if before < least {
                return Ok(left);
            }
            count += 1;
            if count > super::DEEPEST {
                return Err(FilterError::new("the arithmetic is too long", self.span()));
            }
            self.take();
            let right = self.deeper(|parser| parser.number(after))?;
            let at = left.at.start..right.at.end;
            let what = Term::Binary(operator, Box::new(left), Box::new(right));
            left = Arithmetic { what, at };
        }
    }

    fn operand(&mut self) -> Result<Arithmetic, FilterError> {
        let start = self.span().start;
        let what = match self.peek().cloned() {
            Some(Token::Number(number)) => {
                self.take();
                Term::Number(number)
            }
            Some(Token::Sign(Sign::Minus)) => {
                self.take();
                Term::Negative(Box::new(self.number(NEGATIVE)?))
            }
            Some(Token::Sign(Sign::Open)) => {
                self.take();
                let inner = self.number(0)?;
                self.expect(Sign::Close, "`)`")?;
                inner.what
            }
            Some(Token::Word(word)) => self.named(&word)?,
            _ => return Err(self.unexpected("a number or a place in the packet such as tcp[13]")),
        };
        Ok(Arithmetic {
            what,
            at: self.since(start),
        })
    }

    /// What a word stands for in arithmetic.
    fn named(&mut self, word: &str) -> Result<Term, FilterError> {
        if let Some(number) = names::number(word) {
            self.take();
            return Ok(Term::Number(number));
        }
        if matches!(word, "len" | "length") {
            self.take();
            return Ok(Term::Length);
        }
        let Some(protocol) = names::protocol(word) else {
            return Err(self.unexpected("a number or a place in the packet such as tcp[13]"));
        };
        self.take();
        self.expect(Sign::OpenIndex, "`[` with a place in the packet")?;
        let at = self.number(0)?;
        let mut size = 1;
        if self.takes_sign(Sign::Colon) {
            let span = self.span();
            size = match self.take() {
                Some(Token::Number(size @ (1 | 2 | 4))) => size,
                _ => return Err(FilterError::new("1, 2 or 4 bytes can be compared", span)),
            };
        }
        self.expect(Sign::CloseIndex, "`]`, or `:` with a number of bytes")?;
        Ok(Term::Load(protocol, Box::new(at), size))
    }
}

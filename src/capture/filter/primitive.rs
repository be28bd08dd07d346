//! Reads primitives: qualifiers and values, and conditions that are a word. Says what they are of the packet.

use std::net::Ipv4Addr;

use super::condition::{Condition, Load, Test};
use super::lexer::{Sign, Token};
use super::parser::{PLAIN, Parser, is_known, named_range, no_lookup};
use super::syntax::{End, Expression, Primitive, Protocol, Qualifiers, Span, Value, ValueKind};
use super::{FilterError, code, names};

/// Whether the kernel has the outer VLAN tag beside the packet.
pub fn tag_is_beside() -> Condition {
    let load = Load::of(code::LD | code::B | code::ABS, code::VLAN_TAG_PRESENT);
    Condition::Test(load, Test::equal(1))
}

impl Parser {
    /// A condition that is no combination of others.
    pub fn primitive(&mut self) -> Result<Expression, FilterError> {
        let start = self.span().start;
        let protocol = self.protocol();
        if let Some(primitive) = self.word(protocol)? {
            self.last = None;
            return Ok(Expression::Primitive(primitive, self.since(start)));
        }
        let end = self.end()?;
        let kind = self.kind();
        let qualifiers = Qualifiers { protocol, end, kind };
        if qualifiers == PLAIN {
            return Err(self.no_primitive());
        }
        if let (Some(protocol), None, ValueKind::Default) = (protocol, end, kind) {
            if self.is_wanting_value() {
                let help = "say `host`, `net`, `port` or `proto` before the value";
                return Err(FilterError::new("it is not said what this value is", self.span()).help(help));
            }
            self.last = None;
            return Ok(Expression::Primitive(
                Primitive::Protocol(protocol),
                self.since(start),
            ));
        }
        self.last = Some(qualifiers);
        let values = self.values(qualifiers)?;
        Ok(match values {
            Expression::Primitive(primitive, _) => Expression::Primitive(primitive, self.since(start)),
            several => several,
        })
    }

    fn is_wanting_value(&self) -> bool {
        matches!(
            self.peek(),
            Some(Token::Number(_) | Token::Dotted(_) | Token::V6(_) | Token::Mac(_) | Token::Name(_))
        )
    }

    fn no_primitive(&self) -> FilterError {
        match self.peek() {
            Some(Token::Dotted(_) | Token::V6(_)) => {
                FilterError::new("it is not said what this address is", self.span())
                    .help("say `host`, `net`, `src` or `dst` before it")
            }
            Some(Token::Mac(_)) => FilterError::new("it is not said what this address is", self.span())
                .help("say `ether host`, `ether src` or `ether dst` before it"),
            _ => self.unexpected("a condition such as `host 10.0.0.1`, `tcp port 179` or `icmp`"),
        }
    }

    fn protocol(&mut self) -> Option<Protocol> {
        let Some(Token::Word(word)) = self.peek() else {
            return None;
        };
        let protocol = names::protocol(word)?;
        self.take();
        Some(protocol)
    }

    /// Conditions that begin with a word of their own.
    fn word(&mut self, protocol: Option<Protocol>) -> Result<Option<Primitive>, FilterError> {
        let Some(Token::Word(word)) = self.peek().cloned() else {
            return Ok(None);
        };
        let primitive = match (word.as_str(), protocol) {
            ("broadcast", _) => Primitive::Broadcast(protocol),
            ("multicast", _) => Primitive::Multicast(protocol),
            ("inbound", None) => Primitive::Inbound,
            ("outbound", None) => Primitive::Outbound,
            ("less" | "greater", None) => {
                self.take();
                let number = self.a_number("a length in bytes")?;
                return Ok(Some(match word.as_str() {
                    "less" => Primitive::Less(number),
                    _ => Primitive::Greater(number),
                }));
            }
            ("vlan", None) => {
                self.take();
                return Ok(Some(Primitive::Vlan(self.id(0xfff, "a VLAN")?)));
            }
            ("mpls", None) => {
                self.take();
                return Ok(Some(Primitive::Mpls(self.id(0xf_ffff, "a label")?)));
            }
            _ => return Ok(None),
        };
        self.take();
        Ok(Some(primitive))
    }

    fn a_number(&mut self, what: &str) -> Result<u32, FilterError> {
        match self.peek() {
            Some(&Token::Number(number)) => {
                self.take();
                Ok(number)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// A number, if one follows.
    fn id(&mut self, most: u32, what: &str) -> Result<Option<u32>, FilterError> {
        let Some(&Token::Number(number)) = self.peek() else {
            return Ok(None);
        };
        if number > most {
            let message = format!("{number} is no number of {what}: {most} is the highest");
            return Err(FilterError::new(message, self.span()));
        }
        self.take();
        Ok(Some(number))
    }

    /// `src`, `dst`, and both with `or` or `and` between.
    fn end(&mut self) -> Result<Option<End>, FilterError> {
        let first = self.one_end();
        let Some(first) = first else { return Ok(None) };
        let is_end = |parser: &Parser| parser.is_word(1, "src") || parser.is_word(1, "dst");
        let is_either = self.is_word(0, "or") || self.peek() == Some(&Token::Sign(Sign::LogicalOr));
        let is_both = self.is_word(0, "and") || self.peek() == Some(&Token::Sign(Sign::LogicalAnd));
        if !is_end(self) || !(is_either || is_both) {
            return Ok(Some(first));
        }
        self.take();
        match self.one_end() {
            Some(second) if second != first => Ok(Some(if is_either { End::Either } else { End::Both })),
            _ => Err(self.unexpected("the other one of `src` and `dst`")),
        }
    }

    fn one_end(&mut self) -> Option<End> {
        if self.takes_word("src") {
            return Some(End::Source);
        }
        self.takes_word("dst").then_some(End::Destination)
    }

    fn kind(&mut self) -> ValueKind {
        for (word, kind) in [
            ("host", ValueKind::Host),
            ("net", ValueKind::Net),
            ("port", ValueKind::Port),
            ("portrange", ValueKind::PortRange),
            ("proto", ValueKind::Proto),
        ] {
            if self.takes_word(word) {
                return kind;
            }
        }
        ValueKind::Default
    }

    /// A value of the kind that was said.
    pub fn value(&mut self, qualifiers: Qualifiers) -> Result<Value, FilterError> {
        let span = self.span();
        let found = self.peek().cloned();
        match (qualifiers.kind, found) {
            (ValueKind::Port, Some(token)) => self.port(&token, span),
            (ValueKind::PortRange, Some(token)) => self.port_range(&token, span),
            (ValueKind::Proto, Some(token)) => self.proto(qualifiers, &token, span),
            (ValueKind::Net, Some(Token::Number(number))) => {
                self.take();
                match u8::try_from(number) {
                    Ok(first) => Ok(Value::Dotted(vec![first])),
                    Err(_) => Err(FilterError::new(format!("{number} is no network"), span)),
                }
            }
            (_, Some(Token::Dotted(parts))) => {
                self.take();
                self.dotted(&parts, span.start)
            }
            (_, Some(Token::V6(address))) => {
                self.take();
                if !self.takes_sign(Sign::Slash) {
                    return Ok(Value::V6(address));
                }
                let length = self.prefix(128)?;
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                match u128::from(address) & !mask {
                    0 => Ok(Value::V6Net(address, length)),
                    _ => Err(beyond_mask(self.since(span.start))),
                }
            }
            (_, Some(Token::Mac(octets))) => {
                self.take();
                Ok(Value::Mac(octets))
            }
            (_, Some(Token::Name(word))) => Err(no_lookup(&word, span)),
            (_, Some(Token::Word(word))) if !is_known(&word) => Err(no_lookup(&word, span)),
            _ => Err(self.unexpected("an address")),
        }
    }

    fn dotted(&mut self, parts: &[u8], start: usize) -> Result<Value, FilterError> {
        let mut octets = [0; 4];
        octets[..parts.len()].copy_from_slice(parts);
        let address = Ipv4Addr::from(octets);
        let mask = if self.takes_sign(Sign::Slash) {
            let length = self.prefix(32)?;
            u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
        } else if self.takes_word("mask") {
            match self.take() {
                Some(Token::Dotted(parts)) if parts.len() == 4 => {
                    u32::from_be_bytes([parts[0], parts[1], parts[2], parts[3]])
                }
                _ => {
                    return Err(FilterError::new(
                        "no mask such as 255.255.0.0 follows",
                        self.since(start),
                    ));
                }
            }
        } else {
            return Ok(Value::Dotted(parts.to_vec()));
        };
        match u32::from(address) & !mask {
            0 => Ok(Value::V4Net(address, mask.into())),
            _ => Err(beyond_mask(self.since(start))),
        }
    }

    fn prefix(&mut self, most: u8) -> Result<u8, FilterError> {
        let span = self.span();
        match self.take() {
            Some(Token::Number(length)) if length <= most.into() => Ok(length as u8),
            _ => Err(FilterError::new(
                format!("the length of a prefix is 0 to {most}"),
                span,
            )),
        }
    }

    fn port(&mut self, token: &Token, span: Span) -> Result<Value, FilterError> {
        self.take();
        match token {
            Token::Number(number) => port_number(*number, span).map(|port| Value::Number(port.into())),
            Token::Word(word) | Token::Name(word) if !names::KEYWORDS.contains(&word.as_str()) => {
                match names::port(word) {
                    Some(port) => Ok(Value::Number(port.into())),
                    None => Err(unknown_port(word, span)),
                }
            }
            _ => Err(FilterError::new("a port was expected here", span)),
        }
    }

    fn port_range(&mut self, token: &Token, span: Span) -> Result<Value, FilterError> {
        self.take();
        let first = match token {
            Token::Number(number) => port_number(*number, span)?,
            Token::Word(word) | Token::Name(word) => match (named_range(word), names::port(word)) {
                (Some(range), _) => return Ok(range),
                (None, Some(port)) => port,
                (None, None) => return Err(unknown_port(word, span)),
            },
            _ => {
                return Err(FilterError::new(
                    "ports such as 8000-8080 were expected here",
                    span,
                ));
            }
        };
        if !self.takes_sign(Sign::Minus) {
            return Ok(Value::Range(first, first));
        }
        let span = self.span();
        match self.take() {
            Some(Token::Number(number)) => Ok(Value::Range(first, port_number(number, span)?)),
            Some(Token::Word(word)) => names::port(&word)
                .map(|last| Value::Range(first, last))
                .ok_or_else(|| unknown_port(&word, span)),
            _ => Err(FilterError::new("the last port of the range is missing", span)),
        }
    }

    fn proto(&mut self, qualifiers: Qualifiers, token: &Token, span: Span) -> Result<Value, FilterError> {
        let table = match qualifiers.protocol {
            Some(Protocol::Ether) => names::ether_protocol,
            _ => names::ip_protocol,
        };
        self.take();
        match token {
            Token::Number(number) => Ok(Value::Number(*number)),
            Token::Name(word) => table(word).map(Value::Number).ok_or_else(|| {
                FilterError::new(format!("{word:?} is no protocol with a name here"), span)
                    .help("write its number")
            }),
            Token::Word(word) => match table(word) {
                // It is a keyword, which libpcap refuses as well.
                Some(_) if is_known(word) => Err(FilterError::new(format!("{word:?} is a keyword"), span)
                    .help(format!("write \\{word}, or the number"))),
                Some(number) => Ok(Value::Number(number)),
                None => Err(
                    FilterError::new(format!("{word:?} is no protocol with a name here"), span)
                        .help("write its number"),
                ),
            },
            _ => Err(FilterError::new(
                "the number of a protocol was expected here",
                span,
            )),
        }
    }
}

fn port_number(number: u32, span: Span) -> Result<u16, FilterError> {
    u16::try_from(number)
        .map_err(|_| FilterError::new(format!("{number} is no port: 65535 is the highest"), span))
}

fn unknown_port(word: &str, span: Span) -> FilterError {
    let error = FilterError::new(format!("{word:?} is no port with a name here"), span);
    match names::nearest(word, names::ports()) {
        Some(near) => error.help(format!(
            "did you mean {near}? Any port can be written as a number"
        )),
        None => error.help("write its number"),
    }
}

fn beyond_mask(span: Span) -> FilterError {
    FilterError::new("the address has bits beyond its mask", span)
        .help("write the network's own address, or `host` without a mask")
}

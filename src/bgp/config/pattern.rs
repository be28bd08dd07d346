//! Patterns of commands, and the graph of words they become.
//!
//! A pattern is a row of tokens: a keyword (`timers`), an argument (`<hold:0-65535>`, a name and a kind; the
//! name alone where both are the same), an optional part (`[no]`), alternatives (`(in|out)`), a set of which
//! any may come in any order (`{metric <0-10>|route-map <word>}`), and an argument that may be repeated
//! (`<word>...`). A tilde gives the command a form with `no` in which what follows the tilde may be left out:
//! `hostname ~ <word>` is `hostname <word>` and `no hostname [<word>]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number from the first to the last.
    Number(u64, u64),
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An address of either family.
    Address,
    /// An IPv4 prefix.
    Prefix4,
    /// An IPv6 prefix.
    Prefix6,
    /// A prefix of either family.
    Prefix,
    /// A community such as `65000:1` or `no-export`.
    Community,
    /// An interface's name.
    Interface,
    /// A neighbor: its address, its interface or the name of a peer-group.
    Peer,
    /// Any one word.
    Word,
    /// The rest of the line.
    Line,
}

impl Kind {
    /// How FRR writes it in its help.
    pub fn label(self) -> String {
        match self {
            Kind::Number(low, high) => format!("({low}-{high})"),
            Kind::Ipv4 => "A.B.C.D".to_owned(),
            Kind::Ipv6 => "X:X::X:X".to_owned(),
            Kind::Address => "<A.B.C.D|X:X::X:X>".to_owned(),
            Kind::Prefix4 => "A.B.C.D/M".to_owned(),
            Kind::Prefix6 => "X:X::X:X/M".to_owned(),
            Kind::Prefix => "<A.B.C.D/M|X:X::X:X/M>".to_owned(),
            Kind::Community => "AA:NN".to_owned(),
            Kind::Interface => "IFNAME".to_owned(),
            Kind::Peer => "<A.B.C.D|X:X::X:X|WORD>".to_owned(),
            Kind::Word => "WORD".to_owned(),
            Kind::Line => "LINE...".to_owned(),
        }
    }

    /// A sentence for the help where the table has none.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Kind::Number(..) => "A whole number in this range",
            Kind::Ipv4 => "An IPv4 address",
            Kind::Ipv6 => "An IPv6 address",
            Kind::Address => "An IPv4 or IPv6 address",
            Kind::Prefix4 => "An IPv4 prefix, as 10.0.0.0/8",
            Kind::Prefix6 => "An IPv6 prefix, as 2001:db8::/32",
            Kind::Prefix => "An IPv4 or IPv6 prefix",
            Kind::Community => "A community, as 65000:1 or no-export",
            Kind::Interface => "The name of an interface",
            Kind::Peer => "A neighbor's address or interface, or a peer-group",
            Kind::Word => "A name",
            Kind::Line => "The rest of the line",
        }
    }

    /// Whether only words of a certain form are of this kind: such a match says more than one with any word.
    pub(super) fn is_typed(self, word: &str) -> bool {
        match self {
            Kind::Interface | Kind::Word | Kind::Line => false,
            Kind::Peer => word.parse::<IpAddr>().is_ok(),
            _ => true,
        }
    }

    /// Whether a word is of this kind.
    pub(super) fn accepts(self, word: &str) -> bool {
        match self {
            Kind::Number(low, high) => {
                let digits = word.bytes().all(|byte| byte.is_ascii_digit());
                digits && word.parse().is_ok_and(|number| (low..=high).contains(&number))
            }
            Kind::Ipv4 => word.parse::<Ipv4Addr>().is_ok(),
            Kind::Ipv6 => word.parse::<Ipv6Addr>().is_ok(),
            Kind::Address => word.parse::<IpAddr>().is_ok(),
            Kind::Prefix4 => word.parse::<Ipv4Net>().is_ok(),
            Kind::Prefix6 => word.parse::<Ipv6Net>().is_ok(),
            Kind::Prefix => word.parse::<ipnet::IpNet>().is_ok(),
            Kind::Community => super::community::parse(word).is_some(),
            Kind::Interface | Kind::Peer | Kind::Word | Kind::Line => true,
        }
    }

    fn named(name: &str) -> Option<Kind> {
        Some(match name {
            "ipv4" => Kind::Ipv4,
            "ipv6" => Kind::Ipv6,
            "address" => Kind::Address,
            "prefix4" => Kind::Prefix4,
            "prefix6" => Kind::Prefix6,
            "prefix" => Kind::Prefix,
            "community" => Kind::Community,
            "interface" => Kind::Interface,
            "peer" => Kind::Peer,
            "word" => Kind::Word,
            "line" => Kind::Line,
            range => {
                let (low, high) = range.split_once('-')?;
                Kind::Number(low.parse().ok()?, high.parse().ok()?)
            }
        })
    }
}

/// One word of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Keyword(&'static str),
    Argument(&'static str, Kind),
}

impl Token {
    /// The name under which the word is found again.
    pub fn name(self) -> &'static str {
        match self {
            Token::Keyword(word) => word,
            Token::Argument(name, _) => name,
        }
    }

    /// `low-high` alone is a number that goes by the name `number`; an unknown kind is any word.
    fn argument(text: &'static str) -> Token {
        match text.split_once(':') {
            Some((name, kind)) => Token::Argument(name, Kind::named(kind).unwrap_or(Kind::Word)),
            None => match Kind::named(text) {
                Some(kind @ Kind::Number(..)) => Token::Argument("number", kind),
                Some(kind) => Token::Argument(text, kind),
                None => Token::Argument(text, Kind::Word),
            },
        }
    }
}

/// A token of a pattern and where it leads.
#[derive(Debug)]
pub(super) struct Node {
    /// None at the start.
    pub token: Option<Token>,
    pub next: Vec<usize>,
    /// Whether the command may end here.
    pub accepts: bool,
    /// Whether it may be repeated.
    pub repeats: bool,
}

/// The graph of all patterns of a table.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
}

impl Graph {
    /// Adds a pattern and gives its start.
    pub fn add(&mut self, pattern: &'static str) -> usize {
        let start = self.node(None);
        let Some((head, tail)) = pattern.split_once('~') else {
            let ends = self.part(pattern, vec![start]);
            self.accept(&ends);
            return start;
        };
        let ends = self.part(head, vec![start]);
        let ends = self.part(tail, ends);
        self.accept(&ends);
        let no = self.word("no", &[start]);
        let ends = self.part(head, no);
        self.accept(&ends);
        let ends = self.part(tail, ends);
        self.accept(&ends);
        start
    }

    fn part(&mut self, pattern: &'static str, from: Vec<usize>) -> Vec<usize> {
        self.sequence(&mut Pieces { rest: pattern }, from)
    }

    fn accept(&mut self, ends: &[usize]) {
        for end in ends {
            self.nodes[*end].accepts = true;
        }
    }

    fn node(&mut self, token: Option<Token>) -> usize {
        self.nodes.push(Node {
            token,
            next: Vec::new(),
            accepts: false,
            repeats: false,
        });
        self.nodes.len() - 1
    }

    /// What follows up to the end, a bar or a closing bracket; from these nodes to the nodes given back.
    fn sequence(&mut self, tokens: &mut Pieces, mut from: Vec<usize>) -> Vec<usize> {
        while let Some(piece) = tokens.next_unless_closing() {
            from = match piece {
                "[" => {
                    let mut ends = self.alternatives(tokens, &from);
                    ends.extend(&from);
                    ends
                }
                "(" => self.alternatives(tokens, &from),
                "{" => {
                    let before = self.starts(&from);
                    let ends = self.alternatives(tokens, &from);
                    self.repeat(&from, before, &ends);
                    ends
                }
                word => self.word(word, &from),
            };
        }
        from
    }

    fn alternatives(&mut self, tokens: &mut Pieces, from: &[usize]) -> Vec<usize> {
        let mut ends = Vec::new();
        loop {
            ends.extend(self.sequence(tokens, from.to_vec()));
            if tokens.next() != Some("|") {
                return ends;
            }
        }
    }

    fn word(&mut self, word: &'static str, from: &[usize]) -> Vec<usize> {
        let repeated = word.ends_with("...");
        let word = word.trim_end_matches("...");
        let token = match word.strip_prefix('<').and_then(|word| word.strip_suffix('>')) {
            Some(argument) => Token::argument(argument),
            None => Token::Keyword(word),
        };
        let node = self.node(Some(token));
        for from in from {
            self.nodes[*from].next.push(node);
        }
        if repeated {
            self.nodes[node].repeats = true;
            self.nodes[node].next.push(node);
        }
        vec![node]
    }

    fn starts(&self, from: &[usize]) -> usize {
        from.first().map_or(0, |from| self.nodes[*from].next.len())
    }

    /// Lets the part that begins after `from` begin again at its ends.
    fn repeat(&mut self, from: &[usize], before: usize, ends: &[usize]) {
        let Some(first) = from.first() else { return };
        let starts = self.nodes[*first].next[before..].to_vec();
        for end in ends {
            self.nodes[*end].next.extend(&starts);
        }
    }
}

/// The words and brackets of a pattern.
struct Pieces {
    rest: &'static str,
}

impl Pieces {
    fn next_unless_closing(&mut self) -> Option<&'static str> {
        let rest = self.rest;
        let piece = self.next()?;
        if matches!(piece, "]" | ")" | "}" | "|") {
            self.rest = rest;
            return None;
        }
        Some(piece)
    }
}

impl Iterator for Pieces {
    type Item = &'static str;

    fn next(&mut self) -> Option<&'static str> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next()?;
        let end = match first {
            '[' | ']' | '(' | ')' | '{' | '}' | '|' => 1,
            '<' => {
                let end = self.rest.find('>').map_or(self.rest.len(), |at| at + 1);
                end + if self.rest[end..].starts_with("...") { 3 } else { 0 }
            }
            _ => self
                .rest
                .find([' ', '[', ']', '(', ')', '{', '}', '|'])
                .unwrap_or(self.rest.len()),
        };
        let (piece, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(piece)
    }
}

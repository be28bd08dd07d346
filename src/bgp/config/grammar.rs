//! A table of commands, and how a line is found in it.
//!
//! The table knows nothing of BGP: what a command is (`I`) and where it may stand (`M`) are parameters, so
//! that the commands of the configuration and those of the exec mode are found alike. As in vtysh a keyword
//! may be shortened as long as only one command is meant.

use std::ops::Range;

use super::argument::Arguments;
use super::pattern::{Graph, Kind, Token};

/// A command of a table.
#[derive(Debug, Clone, Copy)]
pub struct Command<M: 'static, I> {
    /// Where it may stand.
    pub modes: &'static [M],
    /// Its words; see the `pattern` module.
    pub pattern: &'static str,
    /// What it is.
    pub id: I,
}

/// Commands that can be matched, completed and explained.
#[derive(Debug)]
pub struct Table<M: 'static, I> {
    commands: Vec<Command<M, I>>,
    starts: Vec<usize>,
    graph: Graph,
    sentences: &'static [(&'static str, &'static str)],
}

/// A command found, with its arguments.
#[derive(Debug)]
pub struct Found<'t, 'l, I> {
    /// The command's id.
    pub id: &'t I,
    /// Its words.
    pub arguments: Arguments<'l>,
    /// Whether a keyword is not written out.
    pub is_shortened: bool,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A word that fits nowhere.
    Unknown,
    /// The line ends too early.
    Incomplete,
    /// A word that is short for several.
    Ambiguous,
}

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// The word at fault, in bytes of the line; empty at the line's end.
    pub span: Range<usize>,
    /// What could stand there.
    pub expected: Vec<Candidate>,
}

/// A word that could come next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The keyword, or the form of the argument, or `<cr>` where the line may end.
    pub text: String,
    /// A sentence on it.
    pub help: &'static str,
    /// Whether it is a keyword, which can be completed.
    pub is_keyword: bool,
    /// Whether it is a neighbor, an interface or another thing whose names the caller knows.
    pub kind: Option<CandidateKind>,
}

/// Arguments whose values a caller may know and complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CandidateKind {
    /// A neighbor or peer-group.
    Peer,
    /// An interface.
    Interface,
}

/// One way to read the line so far.
#[derive(Debug, Clone)]
struct Path {
    command: usize,
    node: usize,
    /// The token and place of each word, and how well it fits.
    words: Vec<(Token, Range<usize>, Fit)>,
    /// The nodes of those words that come once.
    nodes: Vec<usize>,
}

impl Path {
    fn fits(&self) -> impl Iterator<Item = Fit> {
        self.words.iter().map(|(_, _, fit)| *fit)
    }
}

/// How well a word fits a token, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Anything,
    Shortened,
    Typed,
    Exact,
}

impl<M: Copy + PartialEq, I> Table<M, I> {
    /// Builds a table. `sentences` explain keywords and arguments by name.
    pub fn new(
        commands: impl IntoIterator<Item = Command<M, I>>,
        sentences: &'static [(&'static str, &'static str)],
    ) -> Self {
        let commands: Vec<_> = commands.into_iter().collect();
        let mut graph = Graph::default();
        let starts = commands
            .iter()
            .map(|command| graph.add(command.pattern))
            .collect();
        Table {
            commands,
            starts,
            graph,
            sentences,
        }
    }

    /// The commands in the table's order.
    pub fn commands(&self) -> &[Command<M, I>] {
        &self.commands
    }

    /// Finds the command a line is.
    ///
    /// # Errors
    /// The word at fault and what could stand there.
    pub fn find<'l>(&self, mode: M, line: &'l str) -> Result<Found<'_, 'l, I>, Fault> {
        let words = words(line);
        let mut paths = self.beginnings(mode);
        let mut done: Vec<Path> = Vec::new();
        for word in &words {
            let next = self.advance(&paths, line, word);
            let (ended, next): (Vec<_>, Vec<_>) = next.into_iter().partition(takes_rest);
            done.extend(ended);
            if next.is_empty() && done.is_empty() {
                return Err(self.unknown(&paths, word));
            }
            if next.is_empty() {
                paths = next;
                break;
            }
            paths = next;
        }
        let complete = paths.iter().filter(|path| self.graph.nodes[path.node].accepts);
        done.extend(complete.cloned());
        self.best(done, &paths, line)
    }

    /// What could come next, or complete the word that the line ends with.
    pub fn complete(&self, mode: M, line: &str) -> Vec<Candidate> {
        let mut before = words(line);
        let last = before
            .pop_if(|word| word.end == line.len())
            .map_or("", |word| &line[word]);
        let mut paths = self.beginnings(mode);
        for word in &before {
            paths = self.advance(&paths, line, word);
        }
        let mut candidates = self.candidates(&paths);
        candidates.retain(|candidate| match candidate.is_keyword {
            true => candidate.text.starts_with(last),
            false => last.is_empty() || candidate.text != "<cr>",
        });
        candidates
    }

    fn beginnings(&self, mode: M) -> Vec<Path> {
        let commands = self.commands.iter().zip(&self.starts).enumerate();
        commands
            .filter(|(_, (command, _))| command.modes.contains(&mode))
            .map(|(index, (_, start))| Path {
                command: index,
                node: *start,
                words: Vec::new(),
                nodes: Vec::new(),
            })
            .collect()
    }

    fn advance(&self, paths: &[Path], line: &str, word: &Range<usize>) -> Vec<Path> {
        let mut next: Vec<Path> = Vec::new();
        for path in paths {
            for node in &self.graph.nodes[path.node].next {
                let Some(token) = self.graph.nodes[*node].token else {
                    continue;
                };
                // In a set each comes once.
                let repeats = self.graph.nodes[*node].repeats;
                if !repeats && path.nodes.contains(node) {
                    continue;
                }
                let Some(fit) = fit(token, &line[word.clone()]) else {
                    continue;
                };
                let span = match token {
                    Token::Argument(_, Kind::Line) => word.start..line.trim_end().len(),
                    _ => word.clone(),
                };
                let mut path = path.clone();
                path.node = *node;
                if !repeats {
                    path.nodes.push(*node);
                }
                path.words.push((token, span, fit));
                next.push(path);
            }
        }
        next
    }

    /// A word that goes no further. As with FRR the line is no command then, though words before it are short for several.
    fn unknown(&self, paths: &[Path], word: &Range<usize>) -> Fault {
        Fault {
            kind: FaultKind::Unknown,
            span: word.clone(),
            expected: self.candidates(paths),
        }
    }

    /// The complete path whose words fit best, from the left.
    fn best<'l>(&self, done: Vec<Path>, alive: &[Path], line: &'l str) -> Result<Found<'_, 'l, I>, Fault> {
        let Some(best) = done.iter().max_by(|a, b| a.fits().cmp(b.fits())) else {
            return Err(self.ambiguity(alive, line).unwrap_or_else(|| Fault {
                kind: FaultKind::Incomplete,
                span: line.trim_end().len()..line.trim_end().len(),
                expected: self.candidates(alive),
            }));
        };
        let equal: Vec<Path> = done
            .iter()
            .filter(|path| path.fits().eq(best.fits()))
            .cloned()
            .collect();
        if let Some(fault) = self.ambiguity(&equal, line) {
            return Err(fault);
        }
        let named = best
            .words
            .iter()
            .map(|(token, span, _)| (token.name(), span.clone()));
        Ok(Found {
            id: &self.commands[best.command].id,
            arguments: Arguments::new(line, named.collect()),
            is_shortened: best.fits().any(|fit| fit == Fit::Shortened),
        })
    }

    /// The first word that is short for several keywords, where no path fits it better.
    fn ambiguity(&self, paths: &[Path], line: &str) -> Option<Fault> {
        let length = paths.iter().map(|path| path.words.len()).max()?;
        for at in 0..length {
            let words = || paths.iter().filter_map(|path| path.words.get(at));
            if words().any(|(_, _, fit)| *fit > Fit::Shortened) {
                continue;
            }
            let shortened = words().filter(|(_, _, fit)| *fit == Fit::Shortened);
            let mut keywords: Vec<&str> = shortened.map(|(token, _, _)| token.name()).collect();
            keywords.sort_unstable();
            keywords.dedup();
            if keywords.len() > 1 {
                let span = words()
                    .next()
                    .map(|(_, span, _)| span.clone())
                    .unwrap_or(line.len()..line.len());
                let expected = keywords
                    .iter()
                    .map(|word| self.candidate(Token::Keyword(word_of(paths, at, word))));
                return Some(Fault {
                    kind: FaultKind::Ambiguous,
                    span,
                    expected: expected.collect(),
                });
            }
        }
        None
    }

    fn candidates(&self, paths: &[Path]) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for path in paths {
            let node = &self.graph.nodes[path.node];
            let tokens = node.next.iter().filter_map(|next| self.graph.nodes[*next].token);
            candidates.extend(tokens.map(|token| self.candidate(token)));
            if node.accepts {
                candidates.push(end());
            }
        }
        candidates.sort();
        candidates.dedup();
        candidates
    }

    fn candidate(&self, token: Token) -> Candidate {
        let name = token.name();
        let sentence = self.sentences.iter().find(|(known, _)| *known == name);
        let sentence = sentence.map(|(_, sentence)| *sentence);
        match token {
            Token::Keyword(word) => Candidate {
                text: word.to_owned(),
                help: sentence.unwrap_or(""),
                is_keyword: true,
                kind: None,
            },
            Token::Argument(_, kind) => Candidate {
                text: kind.label(),
                help: sentence.unwrap_or_else(|| kind.sentence()),
                is_keyword: false,
                kind: match kind {
                    Kind::Peer => Some(CandidateKind::Peer),
                    Kind::Interface => Some(CandidateKind::Interface),
                    _ => None,
                },
            },
        }
    }
}

/// The keyword of this spelling at a place, with the table's lifetime.
fn word_of(paths: &[Path], at: usize, word: &str) -> &'static str {
    let tokens = paths.iter().filter_map(|path| path.words.get(at));
    let mut names = tokens.map(|(token, _, _)| token.name());
    names.find(|name| *name == word).unwrap_or_default()
}

fn end() -> Candidate {
    Candidate {
        text: "<cr>".to_owned(),
        help: "",
        is_keyword: false,
        kind: None,
    }
}

fn takes_rest(path: &Path) -> bool {
    matches!(path.words.last(), Some((Token::Argument(_, Kind::Line), _, _)))
}

fn fit(token: Token, word: &str) -> Option<Fit> {
    match token {
        Token::Keyword(keyword) if keyword == word => Some(Fit::Exact),
        Token::Keyword(keyword) => keyword.starts_with(word).then_some(Fit::Shortened),
        Token::Argument(_, kind) if !kind.accepts(word) => None,
        Token::Argument(_, kind) if kind.is_typed(word) => Some(Fit::Typed),
        Token::Argument(..) => Some(Fit::Anything),
    }
}

/// The places of a line's words.
pub(super) fn words(line: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    for (at, character) in line.char_indices() {
        let end = at + character.len_utf8();
        if character.is_whitespace() {
            continue;
        }
        match words.last_mut() {
            Some(word) if word.end == at => word.end = end,
            _ => words.push(at..end),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<char, usize> {
        let patterns: &[&'static str] = &[
            "[no] neighbor <peer> remote-as (<asn:1-4294967295>|internal|external)",
            "neighbor <peer> timers <keepalive:0-65535> <hold:0-65535>",
            "neighbor <peer> timers connect <seconds:1-65535>",
            "neighbor <peer> description <line>",
            "redistribute (connected|static) [{metric <0-10>|route-map <word>}]",
            "set community <community>... [additive]",
            "neighbor <peer> shutdown [message <line>]",
            "set community none",
            "show (bgp|version)",
        ];
        let command = |(id, pattern): (usize, &&'static str)| Command {
            modes: &['c'],
            pattern,
            id,
        };
        Table::new(
            patterns.iter().enumerate().map(command),
            &[("neighbor", "Specify a neighbor"), ("hold", "Holdtime")],
        )
    }

    fn found(line: &str) -> (usize, String) {
        let table = table();
        let found = table.find('c', line).unwrap();
        (*found.id, format!("{}", found.arguments))
    }

    fn fault(line: &str) -> (FaultKind, String, Vec<String>) {
        let fault = table().find('c', line).unwrap_err();
        let expected = fault.expected.into_iter().map(|candidate| candidate.text);
        (fault.kind, line[fault.span].to_owned(), expected.collect())
    }

    #[test]
    fn a_line_is_found_with_its_arguments() {
        assert_eq!(
            found("no neighbor 10.0.0.1 remote-as external"),
            (0, "no neighbor peer=10.0.0.1 remote-as external".to_owned())
        );
        assert_eq!(found("neighbor x timers 3 9").0, 1);
        assert_eq!(found("neighbor x timers connect 9").0, 2);
        assert_eq!(
            found("  neighbor  x description  a  b ").1,
            "neighbor peer=x description line=a  b"
        );
        assert_eq!(found("redistribute static route-map x metric 4").0, 4);
        assert_eq!(
            found("neighbor x shutdown message a b").1,
            "neighbor peer=x shutdown message line=a b"
        );
    }

    #[test]
    fn keywords_may_be_shortened_and_an_exact_word_wins() {
        assert_eq!(found("nei x rem ext").1, "neighbor peer=x remote-as external");
        assert_eq!(found("set community none").0, 7);
        assert_eq!(found("set comm 1:2 no-export add").0, 5);
        assert_eq!(found("redist conn").0, 4);
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        use FaultKind::{Ambiguous, Incomplete, Unknown};
        let (kind, word, expected) = fault("neighbor x remote-as 0");
        assert_eq!((kind, word.as_str()), (Unknown, "0"));
        assert_eq!(expected, ["(1-4294967295)", "external", "internal"]);
        let (kind, word, expected) = fault("neighbor x timers 3");
        assert_eq!((kind, word.as_str()), (Incomplete, ""));
        assert_eq!(expected, ["(0-65535)"]);
        let (kind, word, expected) = fault("n");
        assert_eq!((kind, word.as_str()), (Ambiguous, "n"));
        assert_eq!(expected, ["neighbor", "no"]);
        assert_eq!(fault("n x y").0, Unknown);
        let (kind, word, expected) = fault("s c x");
        assert_eq!((kind, word.as_str()), (Unknown, "x"));
        assert_eq!(expected, ["AA:NN", "none"]);
        assert_eq!(fault("redistribute static metric 11").1, "11");
        assert_eq!(fault("show bgp x").2, ["<cr>"]);
    }

    #[test]
    fn help_and_completion_come_from_the_same_table() {
        let table = table();
        let texts = |line: &str| -> Vec<String> {
            table
                .complete('c', line)
                .into_iter()
                .map(|candidate| candidate.text)
                .collect()
        };
        assert_eq!(texts("ne"), ["neighbor"]);
        assert_eq!(
            texts("neighbor x "),
            ["description", "remote-as", "shutdown", "timers"]
        );
        assert_eq!(texts("neighbor x timers "), ["(0-65535)", "connect"]);
        assert_eq!(texts("neighbor x shutdown "), ["<cr>", "message"]);
        assert_eq!(table.complete('c', "nei")[0].help, "Specify a neighbor");
        assert_eq!(table.complete('c', "neighbor x timers 3 ")[0].help, "Holdtime");
        assert_eq!(
            table.complete('c', "neighbor ")[0].kind,
            Some(CandidateKind::Peer)
        );
        assert!(table.complete('x', "").is_empty());
    }
}

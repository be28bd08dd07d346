//! Lines for the shell, as far as it can be said without running them which programs they start, with which words, and what those
//! read and write (POSIX.1-2017, Shell Command Language). Pure.

use std::collections::BTreeMap;

/// A program that a line starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simple {
    /// Its words, the program's name first.
    pub words: Vec<String>,
    /// Whether a word of it is known only when it runs: a variable's value, another command's output.
    pub is_open: bool,
    /// What it reads.
    pub input: Input,
    /// The file that it writes to, and whether what is there stays.
    pub output: Option<(String, bool)>,
}

/// What a program reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Input {
    /// What the command itself does.
    #[default]
    Inherited,
    /// A text that stands in the line: a here-document or a here-string.
    Text(String),
    /// A file.
    File(String),
    /// What the program before it prints.
    Pipe,
    /// What cannot be known.
    Unknown,
}

/// What stands before a program's name and starts it.
const BEFORE: [&str; 12] = [
    "if", "then", "elif", "else", "while", "until", "do", "!", "{", "}", "exec", "sudo",
];

/// The programs that a line starts, in the order in which they stand there. Variables have the values of `env`.
pub fn programs(line: &str, env: &BTreeMap<String, String>) -> Vec<Simple> {
    let mut scanner = Scanner {
        rest: line,
        env,
        awaited: Vec::new(),
        programs: Vec::new(),
        now: Simple::default(),
    };
    scanner.scan();
    scanner.programs
}

struct Scanner<'l> {
    rest: &'l str,
    env: &'l BTreeMap<String, String>,
    /// Here-documents whose lines are still to come.
    awaited: Vec<Document>,
    programs: Vec<Simple>,
    now: Simple,
}

/// A here-document.
struct Document {
    /// Of which program, by index.
    program: usize,
    end: String,
    strips_tabs: bool,
    is_literal: bool,
}

/// A word, and what is known of it.
#[derive(Default)]
struct Word {
    text: String,
    is_quoted: bool,
    is_open: bool,
}

impl Scanner<'_> {
    fn take(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn takes(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn scan(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
            if self.takes("\\\n") {
                continue;
            }
            let Some(next) = self.rest.chars().next() else {
                return self.end();
            };
            match next {
                '\n' => {
                    self.take();
                    self.end();
                    self.documents();
                }
                '#' => self.rest = self.rest.find('\n').map_or("", |at| &self.rest[at..]),
                ';' | '(' | ')' => {
                    self.take();
                    self.end();
                }
                '&' if !self.rest.starts_with("&>") => {
                    while self.takes("&") {}
                    self.end();
                }
                '|' => {
                    let is_pipe = !self.rest.starts_with("||");
                    while self.takes("|") {}
                    self.takes("&");
                    self.end();
                    if is_pipe {
                        self.now.input = Input::Pipe;
                    }
                }
                '<' | '>' | '&' => self.redirection("1"),
                _ => self.word_or_number(),
            }
        }
    }

    fn word_or_number(&mut self) {
        let digits = self.rest.trim_start_matches(|it: char| it.is_ascii_digit());
        let number = &self.rest[..self.rest.len() - digits.len()];
        if !number.is_empty() && digits.starts_with(['<', '>']) {
            self.rest = digits;
            return self.redirection(number);
        }
        let word = self.word();
        let begins = self.now.words.is_empty();
        let is_assignment = word.text.split_once('=').is_some_and(|(name, _)| is_name(name));
        if begins && !word.is_quoted && (is_assignment || BEFORE.contains(&word.text.as_str())) {
            return;
        }
        self.now.is_open |= word.is_open;
        self.now.words.push(word.text);
    }

    fn redirection(&mut self, number: &str) {
        let reads = self.rest.starts_with('<');
        if self.takes("<<<") {
            let word = self.next_word();
            self.now.input = match word.is_open {
                true => Input::Unknown,
                false => Input::Text(word.text + "\n"),
            };
            return;
        }
        if self.takes("<<") {
            let strips_tabs = self.takes("-");
            let word = self.next_word();
            self.awaited.push(Document {
                program: self.programs.len(),
                end: word.text,
                strips_tabs,
                is_literal: word.is_quoted,
            });
            self.now.input = Input::Unknown;
            return;
        }
        let both = self.takes("&>");
        let appends = if both { self.takes(">") } else { self.takes(">>") };
        if !both && !appends {
            self.take();
            if self.takes("&") {
                self.next_word();
                return;
            }
            self.takes("|");
        }
        let word = self.next_word();
        if reads {
            self.now.input = match word.is_open {
                true => Input::Unknown,
                false => Input::File(word.text),
            };
        } else if number == "1" && !word.is_open {
            self.now.output = Some((word.text, appends));
        }
    }

    fn next_word(&mut self) -> Word {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        self.word()
    }

    fn word(&mut self) -> Word {
        let mut word = Word::default();
        while let Some(next) = self.rest.chars().next() {
            match next {
                ' ' | '\t' | '\n' | '\r' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                '\'' => {
                    self.take();
                    word.is_quoted = true;
                    let end = self.rest.find('\'').unwrap_or(self.rest.len());
                    word.text.push_str(&self.rest[..end]);
                    self.rest = self.rest.get(end + 1..).unwrap_or_default();
                }
                '"' => {
                    self.take();
                    word.is_quoted = true;
                    self.double_quoted(&mut word);
                }
                '\\' => {
                    self.take();
                    word.is_quoted = true;
                    match self.take() {
                        Some('\n') | None => {}
                        Some(literal) => word.text.push(literal),
                    }
                }
                '$' | '`' => self.expansion(&mut word),
                other => {
                    self.take();
                    word.text.push(other);
                }
            }
        }
        word
    }

    fn double_quoted(&mut self, word: &mut Word) {
        while let Some(next) = self.rest.chars().next() {
            match next {
                '"' => {
                    self.take();
                    return;
                }
                '\\' => {
                    self.take();
                    match self.take() {
                        Some(special @ ('$' | '`' | '"' | '\\')) => word.text.push(special),
                        Some('\n') | None => {}
                        Some(other) => word.text.extend(['\\', other]),
                    }
                }
                '$' | '`' => self.expansion(word),
                other => {
                    self.take();
                    word.text.push(other);
                }
            }
        }
    }

    /// What a variable is worth, where that is known.
    fn expansion(&mut self, word: &mut Word) {
        if self.takes("`") {
            word.is_open = true;
            self.rest = self.rest.find('`').map_or("", |at| &self.rest[at + 1..]);
            return;
        }
        self.takes("$");
        if self.takes("'") {
            return self.escaped(word);
        }
        if self.takes("(") {
            word.is_open = true;
            return self.skip_parentheses();
        }
        let is_braced = self.takes("{");
        let length = self
            .rest
            .bytes()
            .take_while(|it| it.is_ascii_alphanumeric() || *it == b'_')
            .count();
        let name = &self.rest[..length];
        if !is_braced && !is_name(name) {
            // `$?`, `$1` and their like; a lone dollar is itself.
            match self
                .rest
                .chars()
                .next()
                .filter(|it| "?!#*@-$0123456789".contains(*it))
            {
                Some(_) => {
                    self.take();
                    word.is_open = true;
                }
                None => word.text.push('$'),
            }
            return;
        }
        self.rest = &self.rest[length..];
        let is_plain = !is_braced || self.takes("}");
        match self.env.get(name).filter(|_| is_plain) {
            Some(value) => word.text.push_str(value),
            None => word.is_open = true,
        }
        if !is_plain {
            self.rest = self.rest.find('}').map_or("", |at| &self.rest[at + 1..]);
        }
    }

    /// `$'…'`, with the escapes of the C language that people write.
    fn escaped(&mut self, word: &mut Word) {
        word.is_quoted = true;
        while let Some(next) = self.take().filter(|next| *next != '\'') {
            match next {
                '\\' => match self.take() {
                    Some('n') => word.text.push('\n'),
                    Some('t') => word.text.push('\t'),
                    Some(other) => word.text.push(other),
                    None => {}
                },
                other => word.text.push(other),
            }
        }
    }

    fn skip_parentheses(&mut self) {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.take() {
                Some('(') => depth += 1,
                Some(')') => depth -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }

    fn end(&mut self) {
        let now = std::mem::take(&mut self.now);
        let waits = self
            .awaited
            .last()
            .is_some_and(|it| it.program == self.programs.len());
        if !now.words.is_empty() || now.output.is_some() || waits {
            self.programs.push(now);
        }
    }

    /// Reads the here-documents that the line just over announced.
    fn documents(&mut self) {
        for document in std::mem::take(&mut self.awaited) {
            let mut text = String::new();
            while !self.rest.is_empty() {
                let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                self.rest = rest;
                let line = match document.strips_tabs {
                    true => line.trim_start_matches('\t'),
                    false => line,
                };
                if line.trim_end_matches('\r') == document.end {
                    break;
                }
                text.push_str(line);
                text.push('\n');
            }
            let input = match document.is_literal {
                true => Some(text),
                false => self.expanded(&text),
            };
            if let Some(program) = self.programs.get_mut(document.program) {
                program.input = input.map_or(Input::Unknown, Input::Text);
            }
        }
    }

    /// A here-document with the values of its variables; none where one of them is not known.
    fn expanded(&self, text: &str) -> Option<String> {
        let mut inner = Scanner {
            rest: text,
            env: self.env,
            awaited: Vec::new(),
            programs: Vec::new(),
            now: Simple::default(),
        };
        let mut word = Word::default();
        // A double quote means itself there.
        while !inner.rest.is_empty() {
            inner.double_quoted(&mut word);
            if inner.rest.len() < text.len() && text[..text.len() - inner.rest.len()].ends_with('"') {
                word.text.push('"');
            }
        }
        (!word.is_open).then_some(word.text)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<Simple> {
        let env = BTreeMap::from([("AS".to_owned(), "65001".to_owned())]);
        programs(line, &env)
    }

    fn words(line: &str) -> Vec<Vec<String>> {
        read(line).into_iter().map(|it| it.words).collect()
    }

    #[test]
    fn programs_are_told_apart() {
        assert_eq!(
            words(
                "sleep 1; A=b exec vtysh -c 'conf t' \\\n -c \"x \\\"y\\\"\" && if ! true; then (echo a#b) # c; d\nfi | cat"
            ),
            [
                vec!["sleep", "1"],
                vec!["vtysh", "-c", "conf t", "-c", "x \"y\""],
                vec!["true"],
                vec!["echo", "a#b"],
                vec!["fi"],
                vec!["cat"]
            ]
        );
        assert_eq!(words("a'b'\"c\"$'d\\ne' 'f"), [vec!["abcd\ne", "f"]]);
        assert_eq!(words(" \n;;&&"), Vec::<Vec<String>>::new());
    }

    #[test]
    fn here_documents_go_to_their_program() {
        let found = read(
            "vtysh <<EOF\nconf t\nrouter bgp $AS ${AS} \"q\" \\$x\nEOF\ncat <<-'A' >/f <<B | vtysh\n\t$AS\n\tA\nb\nB\necho x",
        );
        assert_eq!(
            found[0].input,
            Input::Text("conf t\nrouter bgp 65001 65001 \"q\" $x\n".to_owned())
        );
        assert_eq!(found[1].output, Some(("/f".to_owned(), false)));
        assert_eq!(found[1].input, Input::Text("b\n".to_owned()));
        assert_eq!(found[2].input, Input::Pipe);
        assert_eq!(found[3].words, ["echo", "x"]);
        // One that is never closed ends with the line.
        assert_eq!(read("vtysh <<E\na")[0].input, Input::Text("a\n".to_owned()));
        assert_eq!(
            read("vtysh <<< 'show run'")[0].input,
            Input::Text("show run\n".to_owned())
        );
    }

    #[test]
    fn what_is_known_only_later_is_marked() {
        assert_eq!(read("vtysh <<E\n$X\nE\n")[0].input, Input::Unknown);
        assert_eq!(read("vtysh <<E\n$(hostname)\nE\n")[0].input, Input::Unknown);
        for line in [
            "vtysh -c \"router bgp $X\"",
            "a `b` c",
            "a $(b (c)) d",
            "a ${AS:-1}",
            "a $1",
        ] {
            assert!(read(line)[0].is_open, "{line}");
        }
        assert!(!read("a $AS '$X' \\$X $")[0].is_open);
    }

    #[test]
    fn redirections_are_no_words() {
        let found = &read("cat </a 2>/dev/null >>/b 2>&1 &>> /c -n")[0];
        assert_eq!(found.words, ["cat", "-n"]);
        assert_eq!(found.input, Input::File("/a".to_owned()));
        assert_eq!(found.output, Some(("/c".to_owned(), true)));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(line in "[ -~\n\t'\"$`(){}<>|&;\\\\#E]{0,200}") {
            for program in read(&line) {
                proptest::prop_assert!(program.words.len() <= line.len());
            }
        }
    }
}

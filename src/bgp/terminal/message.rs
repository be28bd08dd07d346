//! What vtysh and a session say to each other: a request and its answer, each a line of JSON.
//!
//! Both ends are nslab's own, of the same version. A request comes from whoever can open the socket, so whatever is no
//! request is refused, and nothing of it is trusted.

use serde::{Deserialize, Serialize};

/// What vtysh asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Only where the session stands.
    Hello,
    /// A command.
    Run(String),
    /// Lines of a configuration, which follow those of the load before.
    Load(Vec<String>),
    /// The words that could complete a line.
    Complete(String),
    /// What could come next in a line (`?`).
    Help(String),
}

/// What a session answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// What is printed.
    pub output: String,
    /// Whether more of what is printed follows, in another answer.
    pub more: bool,
    /// What became of the command.
    pub status: Status,
    /// What stands before the next line.
    pub prompt: String,
    /// Whether the session is over.
    pub ends: bool,
    /// The words at fault.
    pub fault: Option<Fault>,
    /// What could come next.
    pub candidates: Vec<Candidate>,
    /// What vtysh itself is to do.
    pub client_action: Option<ClientAction>,
    /// What is wrong with lines that were loaded.
    pub complaints: Vec<Complaint>,
}

/// What became of a command, by FRR's names and numbers (lib/command.h).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is done.
    #[default]
    Success,
    /// There is no such command.
    NoMatch,
    /// A word is short for several.
    Ambiguous,
    /// The line ends too early.
    Incomplete,
    /// It cannot be done.
    Failed,
}

impl Status {
    /// FRR's number, which is also how `vtysh -f` ends.
    pub fn number(self) -> i32 {
        match self {
            Status::Success => 0,
            Status::NoMatch => 2,
            Status::Ambiguous => 3,
            Status::Incomplete => 4,
            Status::Failed => 13,
        }
    }
}

/// Words at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// How many characters stand before them.
    pub column: usize,
    /// How many characters they are; 0 at the line's end.
    pub width: usize,
    /// What would be right; may be empty.
    pub help: String,
}

/// A word that could come next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The keyword, or the form of the argument.
    pub text: String,
    /// A sentence on it.
    pub help: String,
    /// What is known to stand there: neighbors, interfaces.
    pub names: Vec<String>,
}

/// What only vtysh can do, having the terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAction {
    /// Run a program with these arguments.
    Run(String, Vec<String>),
    /// Show the lines that were typed.
    History,
}

/// What is wrong with a line that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// Which of the lines loaded at once, from 0.
    pub line: usize,
    /// What is wrong, in FRR's words.
    pub message: String,
    /// What became of it.
    pub status: Status,
}

impl Request {
    /// As it goes over the socket, with the line's end.
    pub fn encode(&self) -> String {
        encode(self)
    }

    /// Reads a line.
    pub fn decode(line: &str) -> Option<Request> {
        serde_json::from_str(line).ok()
    }
}

/// What came of writing the configuration; where it failed, what the kernel said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// That what was there is kept.
    pub kept: Result<(), String>,
    /// That the configuration is written.
    pub written: Result<(), String>,
}

impl Default for Saved {
    fn default() -> Saved {
        Saved {
            kept: Ok(()),
            written: Ok(()),
        }
    }
}

impl Answer {
    /// Says what came of writing the configuration, in vtysh's words.
    pub fn is_saved(&mut self, saved: Saved) {
        const FILE: &str = "/etc/frr/frr.conf";
        if let Err(why) = saved.kept {
            self.output += &format!("Error renaming {FILE} to {FILE}.sav: {why}\n");
        }
        match saved.written {
            Ok(()) => self.output += &format!("Integrated configuration saved to {FILE}\n[OK]\n"),
            Err(why) => {
                self.status = Status::Failed;
                self.output += &format!("% Error: failed to open configuration file {FILE}: {why}\n");
                self.output += "% Configuration write failed.\n";
            }
        }
    }

    /// As it goes over the socket, with the line's end.
    pub fn encode(&self) -> String {
        encode(self)
    }

    /// Reads a line.
    pub fn decode(line: &str) -> Option<Answer> {
        serde_json::from_str(line).ok()
    }
}

/// Values like these can always be written; were one not, nothing would be said, which is no message either.
fn encode(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_request_is_one_line_and_read_again(text in "\\PC*|.*\n.*") {
            for request in [Request::Run(text.clone()), Request::Help(text.clone()), Request::Load(vec![text.clone(); 2])] {
                let line = request.encode();
                prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
                prop_assert_eq!(Request::decode(line.trim_end()), Some(request));
            }
        }

        #[test]
        fn an_answer_is_one_line_and_read_again(output in "(?s).*", prompt in ".*", ends: bool) {
            let answer = Answer { output, prompt, ends, client_action: Some(ClientAction::History), ..Answer::default() };
            let line = answer.encode();
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            prop_assert_eq!(Answer::decode(line.trim_end()), Some(answer));
        }

        #[test]
        fn anything_else_is_refused(line in ".*") {
            prop_assert!(Request::decode(&line).is_none() || line.contains('"'));
        }
    }
}

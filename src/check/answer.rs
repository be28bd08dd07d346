//! What a node answered, and whether that is what the check wants. Pure, but for expressions, which the caller evaluates.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::route::{self, Route};
use crate::lab::check::{BgpWanted, Check, Expect, Question};
use crate::run::evaluate::Expression;

/// How many lines and characters of an answer are shown.
const LINES: usize = 20;
const WIDTH: usize = 300;

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// A command has ended.
    Command {
        /// Exit status as a shell gives it.
        status: i32,
        /// What it printed.
        out: String,
        /// What it complained about.
        errors: String,
    },
    /// An echo request was answered, or not in time.
    Echo(Option<Duration>),
    /// A TCP connection was accepted.
    Connected,
    /// There was no way, or a refusal; in words.
    Refused(String),
    /// The routes to the destination, and to wider networks that it is in.
    Routes(Vec<Route>),
    /// The question could not be asked; in words. Never what a check wants, not even with `not`.
    Broken(String),
}

/// Why an answer is not what is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What differs, in a sentence.
    pub message: String,
    /// The answer itself, as far as it helps.
    pub detail: String,
    /// Whether there was no answer to judge.
    broken: bool,
}

impl Difference {
    /// The answer is another than what is wanted.
    pub fn new(message: impl Into<String>, detail: impl Into<String>) -> Self {
        Difference {
            message: message.into(),
            detail: detail.into(),
            broken: false,
        }
    }

    /// The question could not be asked or the answer not be read.
    pub fn broken(message: impl Into<String>, detail: impl Into<String>) -> Self {
        Difference {
            broken: true,
            ..Difference::new(message, detail)
        }
    }
}

/// Has an expression's value on a text, or says why there is none.
pub type Evaluate<'a> = &'a dyn Fn(Expression<'_>, &str) -> Result<Value, String>;

/// Judges an answer.
///
/// # Errors
/// How it differs from what the check wants.
pub fn judge(check: &Check, answer: &Answer, evaluate: Evaluate<'_>) -> Result<(), Difference> {
    match (holds(&check.question, answer, evaluate), check.not) {
        (Err(difference), true) if !difference.broken => Ok(()),
        (Ok(seen), true) => Err(Difference::new("it holds, and must not", seen)),
        (Ok(_), false) => Ok(()),
        (Err(difference), _) => Err(difference),
    }
}

/// What was seen where the answer is as asked for, else how it differs.
fn holds(question: &Question, answer: &Answer, evaluate: Evaluate<'_>) -> Result<String, Difference> {
    if let Answer::Broken(why) = answer {
        return Err(Difference::broken(why, ""));
    }
    match (question, answer) {
        (Question::Run { expect, .. }, Answer::Command { status, out, errors }) => {
            expected(expect, *status, out, errors, evaluate)
        }
        (Question::Ping { to, .. }, Answer::Echo(Some(time))) => Ok(format!(
            "{to} answered after {:.2} ms",
            time.as_secs_f64() * 1000.0
        )),
        (Question::Ping { to, .. }, Answer::Echo(None)) => {
            Err(Difference::new(format!("no answer from {to}"), ""))
        }
        (Question::Tcp(to), Answer::Connected) => Ok(format!("{to} accepts connections")),
        (Question::Ping { .. } | Question::Tcp(_), Answer::Refused(why)) => {
            Err(Difference::new(why.clone(), ""))
        }
        (Question::Route(wanted), Answer::Routes(routes)) => route::judge(wanted, routes),
        (Question::Bgp(wanted), Answer::Command { status, out, errors }) => {
            if *status != 0 {
                let said = format!("{out}\n{errors}");
                return Err(Difference::broken(
                    format!("vtysh ended with status {status}"),
                    last(&said),
                ));
            }
            bgp(wanted, out)
        }
        _ => Err(Difference::broken("an answer to another question", "")),
    }
}

fn expected(
    expect: &Expect,
    status: i32,
    out: &str,
    errors: &str,
    evaluate: Evaluate<'_>,
) -> Result<String, Difference> {
    let both = || last(format!("{}\n{}", out.trim_end(), errors.trim_end()).trim_start_matches('\n'));
    if status != expect.exit {
        let meaning = match status {
            125 => " (nslab could not run it)",
            126 => " (it cannot be executed)",
            127 => " (there is no such command)",
            _ => "",
        };
        let message = format!("status {status}{meaning} instead of {}", expect.exit);
        return Err(if status == 125 {
            Difference::broken(message, both())
        } else {
            Difference::new(message, both())
        });
    }
    if let Some(text) = &expect.stdout
        && out.trim() != text.trim()
    {
        return Err(Difference::new("it printed something else", compared(text, out)));
    }
    if let Some(text) = expect.contains.iter().find(|text| !out.contains(*text)) {
        return Err(Difference::new(
            format!("{text:?} is not in what it printed"),
            both(),
        ));
    }
    if let Some(pattern) = &expect.matches {
        let matches = evaluate(Expression::Matches(pattern), out);
        let matches = matches.map_err(|why| Difference::broken(format!("/{pattern}/: {why}"), ""))?;
        if matches != Value::Bool(true) {
            return Err(Difference::new(
                format!("/{pattern}/ matches nothing of what it printed"),
                both(),
            ));
        }
    }
    if let Some(expression) = &expect.jq {
        let value = evaluate(Expression::Jq(expression), out);
        let value = value.map_err(|why| Difference::broken(why, both()))?;
        let wanted = expect.equals.clone().unwrap_or(Value::Bool(true));
        if !same(&value, &wanted) {
            let message = format!("`{expression}` is {}, not {wanted}", short(&value.to_string()));
            return Err(Difference::new(message, both()));
        }
    }
    Ok(both())
}

/// 12 and 12.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn compared(wanted: &str, got: &str) -> String {
    let mut text = String::new();
    for (head, lines) in [("wanted", wanted), ("got", got)] {
        for line in last(lines.trim()).lines() {
            let _ = writeln!(text, "{head:>6}: {line}");
        }
    }
    text
}

/// Compares a neighbor's row of `show bgp summary json`.
fn bgp(wanted: &BgpWanted, out: &str) -> Result<String, Difference> {
    let summary: Value =
        serde_json::from_str(out).map_err(|_| Difference::broken("vtysh answered no JSON", last(out)))?;
    let families: Vec<&Value> = match wanted.family {
        Some(family) => summary.get(family.key()).into_iter().collect(),
        None => summary
            .as_object()
            .map(|families| families.values().collect())
            .unwrap_or_default(),
    };
    let is_it =
        |key: &str, peer: &Value| key == wanted.neighbor || peer["hostname"] == wanted.neighbor.as_str();
    let rows = families.iter().filter_map(|family| family["peers"].as_object());
    let found = rows
        .clone()
        .find_map(|peers| peers.iter().find(|(key, peer)| is_it(key, peer)));
    let Some((key, peer)) = found else {
        let names: Vec<&str> = rows.flat_map(|peers| peers.keys()).map(String::as_str).collect();
        let detail = match names.as_slice() {
            [] => "it has no neighbors".to_owned(),
            names => format!("its neighbors are {}", names.join(", ")),
        };
        return Err(Difference::new(
            format!("no neighbor {}", wanted.neighbor),
            detail,
        ));
    };
    let row = format!(
        "neighbor {key}: AS {}, state {}, received {}, sent {}, up {}",
        plain(&peer["remoteAs"]),
        plain(&peer["state"]),
        plain(&peer["pfxRcd"]),
        plain(&peer["pfxSnt"]),
        plain(&peer["peerUptime"]),
    );
    let mut wrong = Vec::new();
    if let Some(state) = wanted
        .state
        .as_ref()
        .filter(|state| peer["state"] != state.as_str())
    {
        wrong.push(format!("state is {}, not {state}", plain(&peer["state"])));
    }
    let numbers = [
        ("AS", "remoteAs", wanted.remote_as.map(u64::from)),
        ("received", "pfxRcd", wanted.received),
        ("sent", "pfxSnt", wanted.sent),
    ];
    for (name, key, wanted) in numbers {
        if let Some(wanted) = wanted.filter(|wanted| peer[key].as_u64() != Some(*wanted)) {
            wrong.push(format!("{name} is {}, not {wanted}", plain(&peer[key])));
        }
    }
    if wrong.is_empty() {
        Ok(row)
    } else {
        Err(Difference::new(wrong.join(", "), row))
    }
}

/// A JSON value without quotes; a dash for nothing.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// The last lines of a text, each cut to a bearable width.
fn last(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let from = lines.len().saturating_sub(LINES);
    let mut shown: Vec<String> = lines[from..].iter().map(|line| short(line)).collect();
    if from > 0 {
        shown.insert(0, format!("({from} lines more)"));
    }
    shown.join("\n")
}

fn short(text: &str) -> String {
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH).collect::<String>() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(check: &Check, answer: &Answer) -> Result<(), Difference> {
        judge(check, answer, &|expression, text| expression.here(text))
    }

    fn printed(out: &str) -> Answer {
        Answer::Command {
            status: 0,
            out: out.to_owned(),
            errors: String::new(),
        }
    }

    fn check(question: Question) -> Check {
        Check {
            name: "x".to_owned(),
            node: "a".to_owned(),
            question,
            within: Duration::ZERO,
            stays: Duration::ZERO,
            not: false,
            phase: crate::lab::check::Phase::After,
            line: 1,
        }
    }

    fn run(expect: Expect) -> Check {
        check(Question::Run {
            command: crate::lab::model::Command::Shell("x".to_owned()),
            expect,
        })
    }

    #[test]
    fn all_that_is_expected_must_hold() {
        let expect = Expect {
            contains: vec!["a".to_owned(), "b".to_owned()],
            matches: Some("^b".to_owned()),
            ..Expect::default()
        };
        assert_eq!(judged(&run(expect.clone()), &printed("a\nb\n")), Ok(()));
        let difference = judged(&run(expect.clone()), &printed("a b\n")).unwrap_err();
        assert!(difference.message.contains("/^b/"), "{difference:?}");
        let difference = judged(&run(expect), &printed("b\n")).unwrap_err();
        assert!(difference.message.contains("\"a\""), "{difference:?}");
    }

    #[test]
    fn values_of_jq_are_compared_as_json() {
        let expect = |equals| Expect {
            jq: Some(".n".to_owned()),
            equals,
            ..Expect::default()
        };
        assert_eq!(
            judged(&run(expect(Some(json!(12)))), &printed("{\"n\": 12.0}")),
            Ok(())
        );
        assert_eq!(judged(&run(expect(None)), &printed("{\"n\": true}")), Ok(()));
        let difference = judged(&run(expect(Some(json!(12)))), &printed("{\"n\": 8}")).unwrap_err();
        assert_eq!(difference.message, "`.n` is 8, not 12");
    }

    #[test]
    fn what_could_not_be_asked_is_not_its_opposite() {
        let mut opposite = run(Expect {
            jq: Some(".n".to_owned()),
            ..Expect::default()
        });
        opposite.not = true;
        assert_eq!(judged(&opposite, &printed("{\"n\": false}")), Ok(()));
        assert!(judged(&opposite, &printed("{\"n\": true}")).is_err());
        assert!(judged(&opposite, &printed("no JSON")).is_err());
        assert!(judged(&opposite, &Answer::Broken("gone".to_owned())).is_err());
    }

    #[test]
    fn a_neighbor_is_found_by_key_or_host_name() {
        let out = json!({"ipv4Unicast": {"peers": {"net0": {
            "hostname": "tor0", "remoteAs": 65010, "state": "Established", "pfxRcd": 3, "pfxSnt": 9,
            "peerUptime": "00:00:05"}}}})
        .to_string();
        let wanted = |neighbor: &str, sent| BgpWanted {
            neighbor: neighbor.to_owned(),
            family: None,
            state: Some("Established".to_owned()),
            remote_as: Some(65010),
            received: Some(3),
            sent: Some(sent),
        };
        assert!(bgp(&wanted("net0", 9), &out).is_ok());
        assert!(bgp(&wanted("tor0", 9), &out).is_ok());
        let difference = bgp(&wanted("net0", 8), &out).unwrap_err();
        assert_eq!(difference.message, "sent is 9, not 8");
        let difference = bgp(&wanted("net1", 8), &out).unwrap_err();
        assert_eq!(difference.detail, "its neighbors are net0");
    }
}

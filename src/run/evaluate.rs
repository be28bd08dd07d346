//! Expressions of checks, evaluated in a process of their own: they may recurse and count for ever, and what they work on
//! comes from a node. The process is killed when its time is up or the user wants to end, and has little memory.

use std::io::Read as _;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, setrlimit};
use serde_json::Value;

use crate::kernel::output;
use crate::lab::jq;

/// The hidden verb of the process.
pub const VERB: &str = "evaluate";
/// How long one evaluation may take at least, however short the check's time, and at most.
const LEAST: Duration = Duration::from_secs(2);
const MOST: Duration = Duration::from_secs(10);
/// Bytes of address space it may have.
const SPACE: u64 = 1 << 30;
/// Bytes of it that are stack: an expression may recurse.
const STACK: usize = 128 << 20;

/// The status where the time on a CPU is up, as a shell gives it.
const KILLED: i32 = 128 + libc::SIGKILL;

/// Something to be asked of a text.
#[derive(Debug, Clone, Copy)]
pub enum Expression<'a> {
    /// The value of a jq expression.
    Jq(&'a str),
    /// Whether a regular expression matches, `^` and `$` at every line.
    Matches(&'a str),
}

impl Expression<'_> {
    /// Evaluates here and now, without a bound.
    ///
    /// # Errors
    /// It has no value; in words.
    pub fn here(self, text: &str) -> Result<Value, String> {
        match self {
            Expression::Jq(expression) => jq::run(expression, text),
            Expression::Matches(pattern) => {
                let regex = regex::RegexBuilder::new(pattern).multi_line(true).build();
                let regex = regex.map_err(|error| error.to_string())?;
                Ok(Value::Bool(regex.is_match(text)))
            }
        }
    }

    fn words(&self) -> [&str; 2] {
        match self {
            Expression::Jq(expression) => ["jq", expression],
            Expression::Matches(pattern) => ["matches", pattern],
        }
    }
}

/// Evaluates in a process of its own, which is killed at the deadline or when `stop` becomes readable.
///
/// # Errors
/// It has no value, or none within its bounds; in words.
pub fn evaluate(
    expression: Expression<'_>,
    text: &str,
    deadline: Instant,
    stop: Option<&impl AsFd>,
) -> Result<Value, String> {
    let began = Instant::now();
    let deadline = deadline.clamp(began + LEAST, began + MOST);
    let input = output::in_memory(text.as_bytes()).map_err(|error| error.to_string())?;
    let mut command = Command::new("/proc/self/exe");
    // An expression may begin with a dash: nothing here reads options.
    command.arg(VERB).args(expression.words()).env_clear();
    let done =
        output::run_on(&mut command, input.into(), deadline, stop).map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&done.out);
    match done.status {
        Some(0) => serde_json::from_str(&said).map_err(|_| "its value is too large".to_owned()),
        Some(1) => Err(said.into_owned()),
        None | Some(KILLED) => Err(format!(
            "the expression had no value after {:.0} s",
            began.elapsed().as_secs_f64()
        )),
        Some(_) => {
            let errors = String::from_utf8_lossy(&done.errors);
            Err(if errors.contains("overflowed its stack") {
                "the expression goes too deep".to_owned()
            } else {
                format!(
                    "the expression wants more than the {} MiB of memory it may have",
                    SPACE >> 20
                )
            })
        }
    }
}

/// Evaluates what the command line says on what comes in, and prints the value as JSON. Returns 1 when there is none, and
/// prints why.
pub fn main(words: &[String]) -> i32 {
    let [kind, expression] = words else { return 2 };
    let expression = match kind.as_str() {
        "jq" => Expression::Jq(expression),
        _ => Expression::Matches(expression),
    };
    let seconds = MOST.as_secs();
    for (resource, limit) in [
        (Resource::RLIMIT_AS, SPACE),
        (Resource::RLIMIT_CPU, seconds),
        (Resource::RLIMIT_CORE, 0),
    ] {
        if let Err(errno) = setrlimit(resource, limit, limit) {
            print!("it cannot be limited: {errno}");
            return 1;
        }
    }
    // Nor does a program that collects core files (core(5)) want to hear of this one.
    let _ = nix::sys::prctl::set_dumpable(false);
    let work = || -> Result<Value, String> {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| error.to_string())?;
        expression.here(&text)
    };
    // The value is printed there, too: it may be as deep as the stack is.
    let on_a_large_stack = || match work() {
        Ok(value) => {
            print!("{value}");
            0
        }
        Err(why) => {
            print!("{why}");
            1
        }
    };
    let status = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, on_a_large_stack);
        thread.ok().and_then(|thread| thread.join().ok())
    });
    status.unwrap_or(2)
}

//! Lines from a pipe or a here-document, which FRR's vtysh shows as if they had been typed.

use std::io::{self, BufRead};

use super::connection::Connection;
use super::{perform, say};
use crate::bgp::terminal::Request;

/// What vtysh begins with.
pub const BANNER: &str = "\n\
Hello, this is nslab, answering as FRRouting (version 8.4.4) does.\n\
\n";

/// Takes lines until there are no more.
///
/// # Errors
/// The speaker has gone, or nobody reads.
pub fn run(connection: &mut Connection) -> io::Result<()> {
    let mut prompt = connection.ask(&Request::Hello)?.prompt;
    say(BANNER)?;
    let mut typed = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        say(&format!("{prompt}{line}\n"))?;
        let answer = connection.ask(&Request::Run(line.clone()))?;
        typed.push(line);
        perform(&answer, &typed)?;
        if answer.ends {
            return Ok(());
        }
        prompt = answer.prompt;
    }
    say(&format!("{prompt}\n"))
}

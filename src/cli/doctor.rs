//! `nslab doctor`.

use super::{Format, print, print_json};
use crate::failure::Failure;
use crate::run::doctor::{Finding, State, examine};
use crate::view::table;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 3 when something is missing without which no lab runs.")]
pub struct Args {
    /// How the findings are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let findings = examine();
    match args.format {
        Format::Json => print_json(&findings)?,
        Format::Text => print(&render(&findings)),
    }
    let missing: Vec<&str> = findings
        .iter()
        .filter(|it| it.state == State::Missing)
        .map(|it| it.what.as_str())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::host(format!(
        "no lab can run here without: {}",
        missing.join(", ")
    )))
}

fn render(findings: &[Finding]) -> String {
    let mut rows = table::table(&["", "WHAT", "FOUND"]);
    for finding in findings {
        let mark = match finding.state {
            State::Good => "ok",
            State::Lacking => "--",
            State::Missing => "!!",
        };
        rows.add_row([mark, &finding.what, &finding.found]);
    }
    let mut text = table::render(&mut rows);
    let cures: Vec<&Finding> = findings.iter().filter(|finding| finding.cure.is_some()).collect();
    if !cures.is_empty() {
        text.push('\n');
    }
    for finding in cures {
        if let Some(cure) = &finding.cure {
            text.push_str(&format!("{}: {cure}\n", finding.what));
        }
    }
    text
}

//! `nslab gc`.

use super::print;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "Every nslab command sweeps first; this one only says what it found.")]
pub struct Args {}

pub fn run(_: Args) -> Result<(), Failure> {
    let swept = super::find_run_directory()?.sweep()?;
    for lab in &swept.labs {
        print(&format!("swept what lab {lab} left\n"));
    }
    if swept.labs.is_empty() && swept.failures.is_empty() {
        print("nothing was left\n");
    }
    swept.failures.into_iter().next().map_or(Ok(()), Err)
}

//! The command line's front door: hidden verbs first, then whatever the user typed.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let status = nslab::run::hidden_verb(&words)
        .or_else(|| nslab::cli::vtysh::called(&words))
        .or_else(|| nslab::cli::frrinit::called(&words))
        .or_else(|| nslab::engine::cni::called(&words))
        .or_else(|| nslab::check::helper::called(&words))
        .or_else(|| nslab::scenario::snapshot::called(&words))
        .or_else(|| nslab::node_tools::called(&words))
        .unwrap_or_else(nslab::cli::main);
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}

//! `nslab labs`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Format, print, print_json};
use crate::failure::Failure;
use crate::run::rootless;
use crate::view::{self, table, units};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How the list is printed
    #[arg(short, long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let mut states = Vec::new();
    for lab in directory.visible() {
        match lab.read_state() {
            Ok(state) => states.extend(state),
            Err(failure) => {
                let help = format!("`nslab down {}` takes it down", lab.lab);
                super::report(&failure.help(help));
            }
        }
    }
    if args.format == Format::Json {
        return print_json(&states);
    }
    if states.is_empty() {
        print("no lab is running\n");
        if let labs @ [_, ..] = rootless::labs_of_root().as_slice() {
            view::tell(&format!(
                "note: root runs {}: {}\n",
                labs.join(", "),
                super::with_sudo()
            ));
        }
        return Ok(());
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let mut rows = table::table(&["LAB", "NODES", "UP", "TERMINAL", "FILE"]);
    for state in states {
        rows.add_row([
            state.lab,
            state.nodes.len().to_string(),
            units::duration(now.saturating_sub(state.started) as f64),
            if state.detached { "-" } else { "yes" }.to_owned(),
            state.file.display().to_string(),
        ]);
    }
    print(&table::render(&mut rows));
    Ok(())
}

//! `nslab events`.

use super::{Format, select};
use crate::failure::Failure;
use crate::run::client::Client;
use crate::run::protocol::{Reply, Request};
use crate::view::{self, progress};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab events\n  sudo nslab events -f --format json")]
pub struct Args {
    /// The lab, where several are running
    #[arg(long, value_name = "LAB")]
    lab: Option<String>,
    /// Go on with what happens from now on
    #[arg(short, long)]
    follow: bool,
    /// How events are printed; json prints one a line
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, args.lab.as_deref())?;
    let mut client = Client::connect(&lab)?;
    let (mut reply, _) = client.ask(&Request::Events { follow: args.follow })?;
    while let Reply::Event(event) = reply {
        let printed = match args.format {
            Format::Json => {
                let line = serde_json::to_string(&event).unwrap_or_default();
                view::print_json(&format!("{line}\n"))
            }
            Format::Text => view::print(&format!("{}  {}\n", clock(event.time), progress::text(&event))),
        };
        // A reader that has gone wants no more.
        if printed.is_err() {
            return Ok(());
        }
        match client.next_reply()? {
            Some((next, _)) => reply = next,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Time of day in UTC, to the millisecond.
pub fn clock(time: f64) -> String {
    // Seconds since 1970 fit by far.
    let millis = (time * 1000.0) as u64;
    let (seconds, millis) = (millis / 1000 % 86_400, millis % 1000);
    format!(
        "{:02}:{:02}:{:02}.{millis:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

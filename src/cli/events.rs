//! `nslab events`.

use std::thread;

use super::Format;
use super::select::{self, Which};
use crate::failure::Failure;
use crate::run::client::Client;
use crate::run::directory::LabDirectory;
use crate::run::events::Event;
use crate::run::protocol::{Reply, Request};
use crate::view::{self, progress};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab events\n  sudo nslab events -f --format json")]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Go on with what happens from now on
    #[arg(short, long)]
    follow: bool,
    /// How events are printed; json prints one a line
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let labs = match args.format {
        Format::Json => vec![select::lab(&directory, args.which.word())?],
        Format::Text => select::labs(&directory, args.which.word())?,
    };
    if let [lab] = labs.as_slice() {
        return tell(lab, &args, &mut |event| show(event, args.format, ""));
    }
    if !args.follow {
        let mut all = Vec::new();
        for lab in &labs {
            tell(lab, &args, &mut |event| {
                all.push((lab.lab.clone(), event.clone()));
                true
            })?;
        }
        all.sort_by(|(_, a), (_, b)| a.time.total_cmp(&b.time));
        // Until the reader has gone.
        let _ = all
            .iter()
            .all(|(lab, event)| show(event, args.format, &format!("{lab}: ")));
        return Ok(());
    }
    // Each lab's come as they come, until it is over.
    thread::scope(|scope| {
        let args = &args;
        let follow = |lab| {
            scope.spawn(move || {
                tell(lab, args, &mut |event| {
                    show(event, args.format, &format!("{}: ", lab.lab))
                })
            })
        };
        let followed: Vec<_> = labs.iter().map(follow).collect();
        let outcomes = followed.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Failure::host("a thread of nslab's panicked")))
        });
        outcomes.collect()
    })
}

/// Tells the events of a lab until nobody wants more.
fn tell(lab: &LabDirectory, args: &Args, show: &mut dyn FnMut(&Event) -> bool) -> Result<(), Failure> {
    let mut client = Client::connect(lab)?;
    let (mut reply, _) = client.ask(&Request::Events { follow: args.follow })?;
    while let Reply::Event(event) = reply {
        if !show(&event) {
            return Ok(());
        }
        match client.next_reply()? {
            Some((next, _)) => reply = next,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Prints an event. Returns false where the reader has gone, who wants no more.
fn show(event: &Event, format: Format, lab: &str) -> bool {
    let printed = match format {
        Format::Json => {
            let line = serde_json::to_string(event).unwrap_or_default();
            view::print_json(&format!("{line}\n"))
        }
        Format::Text => view::print(&format!(
            "{}  {lab}{}\n",
            clock(event.time),
            progress::text(event)
        )),
    };
    printed.is_ok()
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

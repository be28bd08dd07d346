//! `nslab capture`.

use std::fs::File;
use std::io::{IsTerminal as _, stdout};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::capture_lines::Lines;
use super::events::clock;
use super::select::{self, Which};
use super::{Format, complete, print_json, values};
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::run::capture::{self, End, Form, Order, Output, Pcapng, Report};
use crate::run::directory::{LabDirectory, RunDirectory};
use crate::run::events::Event;
use crate::run::user_files;
use crate::view::{self, progress, terminal, units};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab capture tor0:eth1                      a line for each packet\n  \
    sudo nslab capture tor0:eth1 tor1:eth1 --filter 'tcp port 179'\n  \
    sudo nslab capture '*' -w lab.pcapng              every interface of every node; Ctrl-C ends it\n  \
    sudo nslab capture 'tor0:*' -w - | wireshark -k -i -\n  \
    ssh host sudo nslab capture tor0:eth1 -w - | wireshark -k -i -\n  \
    sudo nslab capture tor0:eth1 --count 10 --format json\n\n\
    Filters are in pcap's language (docs/capture.md). A packet that passes a link is captured at both of its ends where both\n\
    are named: as outgoing at one and as incoming at the other. What happens in the lab meanwhile (`nslab events`) stands\n\
    before the packets that follow: in a line of its own, or in a file as a comment. Packets for which there was no time or\n\
    room are counted and told; the lab never waits for a capture."
)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Write a file in the format pcapng, which Wireshark reads; - is standard output
    #[arg(short, long = "write", value_name = "FILE")]
    write: Option<PathBuf>,
    /// Only packets that match this expression of pcap's filter language
    #[arg(
        short,
        long,
        value_name = "EXPRESSION",
        default_value = "",
        hide_default_value = true
    )]
    filter: String,
    /// Keep so many bytes of a packet at most
    #[arg(short, long, value_name = "BYTES", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(14..=262_144))]
    snaplen: u32,
    /// End after so many packets
    #[arg(short, long, value_name = "PACKETS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after such a time (500ms, 90s, 5m)
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    duration: Option<Duration>,
    /// End before so much is written (500K, 100M, 2G)
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    max_size: Option<u64>,
    /// Say nothing of what happens in the lab
    #[arg(long)]
    no_events: bool,
    /// How packets are printed; json prints one object a line, and with --write how many there were
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Interfaces; NODE:* means all of a node's but its loopback, and * all of the lab's
    #[arg(value_name = "NODE:INTERFACE", required = true, add = complete::interfaces())]
    ends: Vec<String>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    capture::check(&args.filter)?;
    if is_stdout(args.write.as_deref()) {
        refuse_terminal()?;
    }
    let directory = super::run_directory()?;
    let lab = lab(&directory, &args)?;
    let ends = capture::choose(&select::status_and_interfaces(&lab)?, &args.ends)?;
    let order = Order {
        lab: &lab,
        ends,
        filter: &args.filter,
        snaplen: args.snaplen,
        count: args.count,
        duration: args.duration,
        max_size: args.max_size,
    };
    // What is to be refused is refused before a file is made or replaced.
    let begun = match &args.write {
        Some(path) if !is_stdout(Some(path)) => Some(user_files::begin(path, user_files::OPEN)?),
        _ => None,
    };
    let ready = capture::open(&order)?;
    let file = match begun {
        Some(begun) => begun.settle()?,
        None => File::from(
            stdout()
                .as_fd()
                .try_clone_to_owned()
                .attempt(|| "use standard output")?,
        ),
    };
    let output = Output::to(file, args.write.is_some())?;
    let mut form = form(&args, &order);
    let report = ready.run(form.as_mut(), output, &mut |text| view::tell(text))?;
    tell_end(&args, &order.ends, &report)
}

/// The lab that has the first node that is named.
fn lab(directory: &RunDirectory, args: &Args) -> Result<LabDirectory, Failure> {
    let nodes = args.ends.iter().filter_map(|word| Some(word.rsplit_once(':')?.0));
    match nodes.into_iter().find(|node| *node != "*") {
        Some(node) => select::lab_of_node(directory, args.which.word(), node),
        None => select::lab(directory, args.which.word()),
    }
}

fn is_stdout(path: Option<&Path>) -> bool {
    path.is_some_and(|path| path.as_os_str() == "-")
}

fn refuse_terminal() -> Result<(), Failure> {
    match stdout().is_terminal() {
        true => Err(
            Failure::wrong("a capture in pcapng is nothing for a terminal").help(
                "pipe it (`-w - | wireshark -k -i -`), name a file, or leave -w out for a line per packet",
            ),
        ),
        false => Ok(()),
    }
}

fn form(args: &Args, order: &Order<'_>) -> Box<dyn Form> {
    if args.write.is_none() {
        return Box::new(Lines::new(args.format, &order.ends, !args.no_events));
    }
    let describe: fn(&Event) -> Option<String> = if args.no_events { |_| None } else { described };
    let filter = args.filter.trim();
    Box::new(Pcapng::new(&order.lab.lab, filter, args.snaplen, describe))
}

/// An event as a comment, with its time: it may have come after the packets that it precedes.
fn described(event: &Event) -> Option<String> {
    let text = progress::text(event);
    (!text.is_empty()).then(|| format!("{} {text}", clock(event.time)))
}

/// Says what became of it.
fn tell_end(args: &Args, ends: &[End], report: &Report) -> Result<(), Failure> {
    if report.reader_has_gone {
        // The exit code says it.
        let _ = terminal::note::<()>(Err(std::io::ErrorKind::BrokenPipe.into()));
        return Ok(());
    }
    let over = match (report.lab_is_over, report.is_full) {
        (true, _) => "; the lab is over",
        (false, true) => "; the capture has the size it may have",
        (false, false) => "",
    };
    let packets = units::count(usize::try_from(report.packets).unwrap_or(usize::MAX), "packet");
    view::tell(&format!("{packets}, {} lost{over}\n", report.lost));
    if args.format == Format::Json && !is_stdout(args.write.as_deref()) {
        let each = ends.iter().zip(&report.each).map(|(end, counted)| {
            json!({"interface": end.name(), "packets": counted.packets, "lost": counted.lost})
        });
        let each: Vec<_> = each.collect();
        let whole = json!({"packets": report.packets, "lost": report.lost, "interfaces": each});
        match args.write {
            Some(_) => print_json(&whole)?,
            None => super::written(view::print_json(&format!("{whole}\n"))),
        }
    }
    Ok(())
}

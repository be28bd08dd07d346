//! `nslab flow`.

use std::thread;
use std::time::Duration;

use clap::Subcommand;

use super::select::{self, Which};
use super::{Format, complete, print, print_json, report};
use crate::failure::Failure;
use crate::lab::check::Family;
use crate::lab::flow::{self, Flow, LATE_AFTER, PPS, Place, Proto, SIZE, Target};
use crate::run::directory::LabDirectory;
use crate::run::flows;
use crate::run::protocol::FlowReport;
use crate::view::terminal::is_clever;
use crate::view::{self, flows as shown};

/// How often `--watch` looks.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo nslab flow start                                 the flows of the lab file\n  \
    sudo nslab flow start --from h0 --to h3 --pps 1000\n  \
    sudo nslab flow start --from h0 --to 10.0.3.2 --proto icmp\n  \
    sudo nslab flow start --from h0 --to h3 --proto tcp    a transfer as fast as it goes\n  \
    sudo nslab flow show --watch\n  \
    sudo nslab flow stop h0-h3\n\n\
    docs/flows.md says what the figures mean.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start flows of the lab file, or one that no file names
    Start(StartArgs),
    /// Stop flows, and show what became of them
    Stop(StopArgs),
    /// Show what has become of flows so far
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab flow start h0-h3\n  \
    sudo nslab flow start --from h0 --to h3:eth1 --family 6 --dscp ef --pps 50 --size 200\n\n\
    Flows of the lab file are started by their names; all where none is given.")]
struct StartArgs {
    #[command(flatten)]
    which: Which,
    /// Flows of the lab file
    #[arg(value_name = "NAME", add = complete::flows(), conflicts_with = "from")]
    names: Vec<String>,
    /// Who sends
    #[arg(long, value_name = "NODE[:INTERFACE]", requires = "to", add = complete::nodes())]
    from: Option<String>,
    /// Who receives
    #[arg(long, value_name = "NODE[:INTERFACE]|ADDRESS", requires = "from", add = complete::nodes())]
    to: Option<String>,
    /// The flow's name (FROM-TO where none is given)
    #[arg(long, requires = "from")]
    name: Option<String>,
    /// What the packets are
    #[arg(long, value_parser = ["udp", "tcp", "icmp"], requires = "from")]
    proto: Option<String>,
    /// Packets a second (100 where nothing is said; of tcp then as fast as it goes)
    #[arg(long, requires = "from")]
    pps: Option<u32>,
    /// Bytes of a packet behind the headers of IP and of the protocol [default: 64]
    #[arg(long, value_name = "BYTES", requires = "from")]
    size: Option<u32>,
    /// The code point of differentiated services: a number up to 63, or ef, cs6, af41 …
    #[arg(long, value_parser = code_point, requires = "from")]
    dscp: Option<u8>,
    /// The address family: 4 or 6
    #[arg(long, value_parser = ["4", "6"], requires = "from")]
    family: Option<String>,
    /// The receiver's port
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), requires = "from")]
    port: Option<u16>,
    /// What takes longer is late, and what has not arrived by then is lost [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = super::values::duration, requires = "from")]
    late_after: Option<Duration>,
    /// How the flows are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab flow stop\n  sudo nslab flow stop h0-h3 --format json\n\n\
    It waits until nothing of them is on its way any more. The exit code is 1 where one was a failure: nothing of it was\n\
    sent, or nothing has arrived."
)]
struct StopArgs {
    #[command(flatten)]
    which: Which,
    /// The flows; all where none is named
    #[arg(value_name = "NAME", add = complete::flows())]
    names: Vec<String>,
    /// How the flows are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab flow show\n  sudo nslab flow show h0-h3 --path\n  \
    sudo nslab flow show --watch --format json       a line each second"
)]
struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// The flows, of which all is told that is known; without names a line each
    #[arg(value_name = "NAME", add = complete::flows())]
    names: Vec<String>,
    /// Find out the way of their packets anew
    #[arg(long)]
    path: bool,
    /// Show them every second, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// How the flows are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Start(args) => start(args),
        Verb::Stop(args) => stop(&args),
        Verb::Show(args) => show(&args),
    }
}

fn lab(which: &Which) -> Result<LabDirectory, Failure> {
    select::lab(&super::run_directory()?, which.word())
}

fn start(args: StartArgs) -> Result<(), Failure> {
    let lab = lab(&args.which)?;
    let started = match (&args.from, &args.to) {
        (Some(from), Some(to)) => flows::run(&lab, vec![wanted(&args, from, to)?])?,
        _ => flows::start(&lab, &args.names)?,
    };
    if args.format == Format::Json {
        return print_json(&started);
    }
    for flow in &started {
        let path = flow
            .path_before
            .as_ref()
            .map_or(String::new(), |it| format!(", {}", shown::path(it)));
        print(&format!("{} is started{path}\n", flow.name));
    }
    Ok(())
}

/// The flow that a command line says.
fn wanted(args: &StartArgs, from: &str, to: &str) -> Result<Flow, Failure> {
    let proto = args.proto.as_deref().unwrap_or_default();
    let proto = Proto::ALL.iter().find(|(name, _)| *name == proto);
    let proto = proto.map_or(Proto::Udp, |(_, proto)| *proto);
    let name = args.name.clone().unwrap_or_else(|| format!("{from}-{to}"));
    flow::name(&name).map_err(|(message, help)| Failure::wrong(message).help(help))?;
    let flow = Flow {
        name,
        from: Place::parse(from),
        to: Target::parse(to),
        proto,
        pps: args.pps.or((proto != Proto::Tcp).then_some(PPS)),
        size: args.size.unwrap_or(SIZE),
        dscp: args.dscp.unwrap_or(0),
        family: match args.family.as_deref() {
            Some("4") => Some(Family::Ipv4),
            Some(_) => Some(Family::Ipv6),
            None => None,
        },
        port: args.port,
        late_after: args.late_after.unwrap_or(LATE_AFTER),
        start: false,
    };
    match flow.diagnostics().into_iter().next() {
        Some((_, message, help)) => {
            Err(Failure::wrong(message).help(help.replace("pps = ", "--pps ").replace("size = ", "--size ")))
        }
        None => Ok(flow),
    }
}

fn code_point(text: &str) -> Result<u8, String> {
    flow::code_point(text).ok_or_else(|| "a number from 0 to 63, or a name: ef, cs6, af41".to_owned())
}

fn stop(args: &StopArgs) -> Result<(), Failure> {
    let stopped = flows::stop(&lab(&args.which)?, &args.names)?;
    match args.format {
        Format::Json => print_json(&stopped)?,
        Format::Text if stopped.is_empty() => print("no flow was started\n"),
        Format::Text => print_text(&stopped, true),
    }
    let mut failed: Vec<Failure> = Vec::new();
    for flow in &stopped {
        if let Some(why) = shown::trouble(flow) {
            let failure = Failure::not_ready(format!("flow {}: {why}", flow.name));
            let detail = flow.path_after.as_ref().and_then(|path| path.ends.clone());
            failed.push(match detail.or_else(|| flow.error.clone()) {
                Some(detail) => failure.detail(detail),
                None => failure,
            });
        }
    }
    let last = failed.pop();
    failed.iter().for_each(report);
    last.map_or(Ok(()), Err)
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let lab = lab(&args.which)?;
    let clears = args.watch && args.format == Format::Text && is_clever(&std::io::stdout());
    loop {
        let found = match (args.format, args.path || args.watch) {
            (Format::Json, false) => flows::series(&lab, &args.names)?,
            _ => flows::report(&lab, &args.names, args.path)?,
        };
        if clears {
            // To the upper left corner, and away with what was there (ECMA-48, CUP and ED).
            super::written(view::print_styled("\x1b[H\x1b[J"));
        }
        match args.format {
            Format::Json if args.watch => {
                let line = serde_json::to_string(&found).map_err(|error| Failure::host(error.to_string()))?;
                if view::print_json(&(line + "\n")).is_err() {
                    return Ok(());
                }
            }
            Format::Json => print_json(&found)?,
            Format::Text if found.is_empty() => {
                print("no flows: the lab file has none, and none was started\n")
            }
            Format::Text => print_text(&found, !args.names.is_empty() || args.path),
        }
        if !args.watch {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
}

fn print_text(flows: &[FlowReport], with_details: bool) {
    let mut text = shown::list(flows);
    if with_details {
        for flow in flows {
            text.push('\n');
            text += &shown::details(flow);
        }
    }
    print(&text);
}

//! `nslab link`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::select::{self, Which};
use super::{Format, complete, print, print_json};
use crate::failure::Failure;
use crate::lab::file::values;
use crate::lab::impair::{Impairment, Rate, Share, Time, filter};
use crate::run::directory::LabDirectory;
use crate::run::links;
use crate::run::protocol::{Direction, LinkAction, LinkReport};
use crate::view::link as view;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab link show\n  sudo nslab link down spine0:down3\n  \
    sudo nslab link up spine0:down3\n  sudo nslab link set a:eth1 --delay 10ms --loss 1%\n  \
    sudo nslab link flap a:eth1 --count 5 --down 500ms --up 2s\n\n\
    A link is named by either of its ends. docs/impairments.md says what each does and how."
)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show what is asked of links, and what is there
    Show(ShowArgs),
    /// Say what a link does to packets: the values in place of those before
    Set(SetArgs),
    /// Take the carrier from both ends, as when the cable is pulled
    Down(OneArgs),
    /// Give it back, and end a silence
    Up(OneArgs),
    /// Take a link down and up again and again
    Flap(FlapArgs),
    /// Lose everything in both directions; the carrier stays
    Silence(OneArgs),
    /// Take back all of this, and what the lab file says of packets
    Clear(OneArgs),
    /// Make links as the lab file says
    Reset(ResetArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab link show\n  sudo nslab link show a:eth1 --format json")]
struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// How it is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// One of the link's ends; without it all links
    #[arg(value_name = "NODE:INTERFACE", add = complete::ends())]
    end: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab link down spine0:down3\n  sudo nslab link clear spine0:down3"
)]
struct OneArgs {
    #[command(flatten)]
    which: Which,
    /// One of the link's ends
    #[arg(value_name = "NODE:INTERFACE", add = complete::ends())]
    end: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab link reset a:eth1\n  sudo nslab link reset --all")]
struct ResetArgs {
    #[command(flatten)]
    which: Which,
    /// All links of the lab
    #[arg(short, long)]
    all: bool,
    /// One of the link's ends
    #[arg(value_name = "NODE:INTERFACE", add = complete::ends(), required_unless_present = "all", conflicts_with = "all")]
    end: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab link flap a:eth1\n  sudo nslab link flap a:eth1 --count 10 --down 200ms --up 1s\n\n\
    It returns when the link is up for the last time. Whatever else is asked of the link meanwhile ends it."
)]
struct FlapArgs {
    #[command(flatten)]
    which: Which,
    /// How often
    #[arg(long, default_value_t = 3)]
    count: u32,
    /// How long it is down each time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    down: Duration,
    /// How long it is up in between
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    up: Duration,
    /// One of the link's ends
    #[arg(value_name = "NODE:INTERFACE", add = complete::ends())]
    end: String,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab link set a:eth1 --delay 10ms --jitter 2ms\n  \
    sudo nslab link set a:eth1 --rate 10mbit --out\n  \
    sudo nslab link set a:eth1 --loss 5% --only 'tcp port 179'\n\n\
    The values hold for both directions unless --out or --in says one. What was said of that direction before is\n\
    replaced, also where a value is not given now."
)]
struct SetArgs {
    #[command(flatten)]
    which: Which,
    /// How much later each packet comes: 10ms
    #[arg(long, value_name = "TIME")]
    delay: Option<Time>,
    /// How much the delay differs at most, up and down
    #[arg(long, value_name = "TIME")]
    jitter: Option<Time>,
    /// How many packets are lost: 1%
    #[arg(long, value_name = "PERCENT")]
    loss: Option<Share>,
    /// How many bits pass in a second: 10mbit
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// How many packets overtake those that are delayed
    #[arg(long, value_name = "PERCENT")]
    reorder: Option<Share>,
    /// How many packets come twice
    #[arg(long, value_name = "PERCENT")]
    duplicate: Option<Share>,
    /// How many packets have one bit changed
    #[arg(long, value_name = "PERCENT")]
    corrupt: Option<Share>,
    /// Where the random numbers begin, so that they are the same again
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// The only packets that it is done to, in pcap's language
    #[arg(long, value_name = "FILTER")]
    only: Option<String>,
    /// Only what the named end sends
    #[arg(long)]
    out: bool,
    /// Only what arrives at the named end
    #[arg(long = "in", conflicts_with = "out")]
    inward: bool,
    /// One of the link's ends
    #[arg(value_name = "NODE:INTERFACE", add = complete::ends())]
    end: String,
}

fn time(text: &str) -> Result<Duration, String> {
    values::duration(text, "time").map_err(|wrong| format!("{}; {}", wrong.message, wrong.help))
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Show(args) => show(&args),
        Verb::Set(args) => set(args),
        Verb::Down(args) => one(&args, LinkAction::Down, "is down"),
        Verb::Up(args) => one(&args, LinkAction::Up, "is up"),
        Verb::Silence(args) => one(&args, LinkAction::Silence, "is silent"),
        Verb::Clear(args) => one(&args, LinkAction::Clear, "is clear"),
        Verb::Reset(args) => reset(&args),
        Verb::Flap(args) => {
            let action = LinkAction::Flap {
                count: args.count,
                down_ms: milliseconds(args.down),
                up_ms: milliseconds(args.up),
            };
            let done = format!("has flapped {} times", args.count);
            act(&args.which, &args.end, action, &done)
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn one(args: &OneArgs, action: LinkAction, done: &str) -> Result<(), Failure> {
    act(&args.which, &args.end, action, done)
}

fn act(which: &Which, end: &str, action: LinkAction, done: &str) -> Result<(), Failure> {
    let lab = lab(which, Some(end))?;
    links::act(&lab, end, action)?;
    print(&format!("{end} {done}\n"));
    Ok(())
}

/// The lab that is meant: the one that has the node, where several run.
fn lab(which: &Which, end: Option<&str>) -> Result<LabDirectory, Failure> {
    let directory = super::run_directory()?;
    let node = end.and_then(|end| end.split_once(':')).map(|(node, _)| node);
    match node {
        Some(node) if node != "host" => select::lab_of_node(&directory, which.word(), node),
        _ => select::lab(&directory, which.word()),
    }
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let lab = lab(&args.which, args.end.as_deref())?;
    let found = links::show(&lab, args.end.as_deref())?;
    match args.format {
        Format::Json => print_json(&found)?,
        Format::Text => print(&view::table(&found)),
    }
    Ok(())
}

fn reset(args: &ResetArgs) -> Result<(), Failure> {
    if let Some(end) = &args.end {
        return act(&args.which, end, LinkAction::Reset, "is as the lab file says");
    }
    let lab = lab(&args.which, None)?;
    let changed = |link: &LinkReport| !link.as_planned;
    let ends: BTreeSet<String> = links::show(&lab, None)?
        .into_iter()
        .filter(changed)
        .map(|link| link.a)
        .collect();
    for end in ends {
        links::act(&lab, &end, LinkAction::Reset)?;
        print(&format!("{end} is as the lab file says\n"));
    }
    Ok(())
}

fn set(args: SetArgs) -> Result<(), Failure> {
    if let Some(Err((message, help))) = args.only.as_deref().map(filter) {
        return Err(Failure::wrong(message).help(help));
    }
    let impairment = Impairment {
        delay: args.delay.unwrap_or_default(),
        jitter: args.jitter.unwrap_or_default(),
        loss: args.loss.unwrap_or_default(),
        reorder: args.reorder.unwrap_or_default(),
        duplicate: args.duplicate.unwrap_or_default(),
        corrupt: args.corrupt.unwrap_or_default(),
        rate: args.rate,
        seed: args.seed,
        only: args.only,
    };
    if let Some((_, message, help)) = impairment.diagnostic() {
        return Err(Failure::wrong(message).help(help));
    }
    let direction = match (args.out, args.inward) {
        (true, _) => Direction::Out,
        (_, true) => Direction::In,
        _ => Direction::Both,
    };
    let done = format!("has {impairment}");
    let action = LinkAction::Set {
        impairment,
        direction,
    };
    act(&args.which, &args.end, action, &done)
}

//! `nslab tools netem`: what links do to packets, said as with containerlab.

use std::collections::BTreeMap;

use serde::Serialize;

use super::select::{self, Which};
use super::{Format, complete, print, print_json};
use crate::failure::Failure;
use crate::lab::impair::{Impairment, Rate, Share, Time};
use crate::run::directory::LabDirectory;
use crate::run::links;
use crate::run::protocol::{Direction, LinkAction};
use crate::view::table;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab tools netem set -n a -i eth1 --delay 10ms --jitter 2ms --loss 0.5\n  \
    sudo nslab tools netem show -n a\n  sudo nslab tools netem reset -n a -i eth1\n\n\
    These are for the scripts of others. `nslab link` does more, and says it of both directions."
)]
pub struct Args {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, clap::Subcommand)]
enum Tool {
    /// Say what an interface does to the packets it sends
    #[command(subcommand)]
    Netem(Verb),
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Set it: the values in place of those before
    Set(SetArgs),
    /// Show it for the interfaces of a node
    Show(ShowArgs),
    /// Take it back
    Reset(ResetArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab tools netem set -n a -i eth1 --delay 10ms --rate 5000")]
struct SetArgs {
    #[command(flatten)]
    at: At,
    /// How much later each packet leaves: 10ms
    #[arg(long, value_name = "TIME", default_value = "0s", hide_default_value = true)]
    delay: Time,
    /// How much the delay differs at most, up and down
    #[arg(long, value_name = "TIME", default_value = "0s", hide_default_value = true)]
    jitter: Time,
    /// How many packets are lost, in percent
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent, hide_default_value = true)]
    loss: Share,
    /// How much passes in a second, in kbit
    #[arg(long, value_name = "KBIT", default_value_t = 0, hide_default_value = true)]
    rate: u64,
    /// How many packets have one bit changed, in percent
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent, hide_default_value = true)]
    corruption: Share,
}

#[derive(Debug, clap::Args)]
struct At {
    #[command(flatten)]
    of: OfNode,
    /// The interface
    #[arg(short, long, value_name = "NAME")]
    interface: String,
}

#[derive(Debug, clap::Args)]
struct OfNode {
    #[command(flatten)]
    which: Which,
    /// The node, or its container's name with containerlab
    #[arg(short, long, value_name = "NODE", add = complete::nodes())]
    node: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab tools netem show -n a --format json")]
struct ShowArgs {
    #[command(flatten)]
    of: OfNode,
    /// How it is printed
    #[arg(long, short, value_parser = format, default_value = "table")]
    format: Format,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab tools netem reset -n a -i eth1")]
struct ResetArgs {
    #[command(flatten)]
    at: At,
}

/// One interface, with the keys and units that containerlab has.
#[derive(Serialize)]
struct Shown {
    interface: String,
    delay: String,
    jitter: String,
    packet_loss: f64,
    rate: u64,
    corruption: f64,
}

fn percent(text: &str) -> Result<Share, String> {
    format!("{}%", text.trim_end_matches('%')).parse()
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "table" | "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("it is table or json".to_owned()),
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let Tool::Netem(verb) = &args.tool;
    match verb {
        Verb::Set(args) => set(args),
        Verb::Show(args) => show(args),
        Verb::Reset(args) => {
            let (lab, end) = args.at.find()?;
            // As with netem, nothing is left of what the file says, either.
            act(&lab, &end, Impairment::default())?;
            print(&format!("{end} does nothing to what it sends\n"));
            Ok(())
        }
    }
}

fn set(args: &SetArgs) -> Result<(), Failure> {
    let rate = match args.rate {
        0 => None,
        kbit => Some(format!("{kbit}kbit").parse::<Rate>()),
    };
    let wrong = |message: String| Failure::wrong(message).help("`--rate 1000` is a megabit a second");
    let impairment = Impairment {
        delay: args.delay,
        jitter: args.jitter,
        loss: args.loss,
        corrupt: args.corruption,
        rate: rate.transpose().map_err(wrong)?,
        ..Impairment::default()
    };
    let diagnostic = impairment.diagnostic().filter(|_| !impairment.is_nothing());
    if let Some((_, message, help)) = diagnostic {
        return Err(Failure::wrong(message).help(help));
    }
    let (lab, end) = args.at.find()?;
    let done = match impairment.is_nothing() {
        true => format!("{end} does nothing to what it sends\n"),
        false => format!("{end} has {impairment} on what it sends\n"),
    };
    act(&lab, &end, impairment)?;
    print(&done);
    Ok(())
}

fn act(lab: &LabDirectory, end: &str, impairment: Impairment) -> Result<(), Failure> {
    let action = LinkAction::Set {
        impairment,
        direction: Direction::Out,
    };
    links::act(lab, end, action)
}

impl At {
    /// The lab, and the end of a link that is meant.
    fn find(&self) -> Result<(LabDirectory, String), Failure> {
        let (lab, node) = self.of.find()?;
        let end = format!("{node}:{}", self.interface);
        Ok((lab, end))
    }
}

impl OfNode {
    /// The lab, and the node's name in it.
    fn find(&self) -> Result<(LabDirectory, String), Failure> {
        let directory = super::run_directory()?;
        let prefixed = directory.visible().into_iter().find_map(|lab| {
            let node = self.node.strip_prefix(&format!("clab-{}-", lab.lab))?.to_owned();
            Some((lab, node))
        });
        if let Some(found) = prefixed {
            return Ok(found);
        }
        let lab = select::lab_of_node(&directory, self.which.word(), &self.node)?;
        Ok((lab, self.node.clone()))
    }
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let (lab, node) = args.of.find()?;
    let mut shown = Vec::new();
    for link in links::show(&lab, None)? {
        let impair = link.asked.impair;
        let ends = [(Some(link.a), impair.a_to_b), (link.b, impair.b_to_a)];
        for (end, impairment) in ends {
            let interface = end.as_deref().and_then(|end| end.split_once(':'));
            if let Some((_, interface)) = interface.filter(|(of, _)| *of == node) {
                shown.push(one(interface, &impairment.unwrap_or_default()));
            }
        }
    }
    if shown.is_empty() {
        return Err(Failure::wrong(format!("{node} has no links")).help("`nslab link show` lists all links"));
    }
    if args.format == Format::Json {
        return print_json(&BTreeMap::from([(&args.of.node, shown)]));
    }
    let mut rows = table::table(&[
        "INTERFACE",
        "DELAY",
        "JITTER",
        "LOSS %",
        "RATE KBIT",
        "CORRUPTION %",
    ]);
    for it in shown {
        let figures = [
            it.packet_loss.to_string(),
            it.rate.to_string(),
            it.corruption.to_string(),
        ];
        rows.add_row([it.interface, it.delay, it.jitter].into_iter().chain(figures));
    }
    print(&table::render(&mut rows));
    Ok(())
}

fn one(interface: &str, it: &Impairment) -> Shown {
    let percent = |share: Share| f64::from(share.parts()) / 1e7;
    Shown {
        interface: interface.to_owned(),
        delay: it.delay.to_string(),
        jitter: it.jitter.to_string(),
        packet_loss: percent(it.loss),
        rate: it.rate.map_or(0, |rate| rate.bits() / 1000),
        corruption: percent(it.corrupt),
    }
}

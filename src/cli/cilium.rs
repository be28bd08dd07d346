//! `nslab cilium`.

use clap::{Subcommand, ValueEnum};

use super::{Format, complete, print, print_json, select};
use crate::cilium::AddressFamily;
use crate::cilium::state::{Query, Table};
use crate::failure::Failure;
use crate::run::client::Client;
use crate::run::protocol::{Reply, Request};
use crate::view::cilium as view;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo nslab cilium bgp peers\n  \
    sudo nslab cilium bgp routes available ipv4 unicast\n  \
    sudo nslab cilium bgp routes advertised ipv4 unicast --node worker")]
pub struct Args {
    #[command(subcommand)]
    of: Of,
}

#[derive(Debug, Subcommand)]
enum Of {
    /// The BGP control plane
    Bgp {
        #[command(subcommand)]
        what: What,
    },
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the state of every node's sessions
    Peers {
        #[command(flatten)]
        from: From,
    },
    /// Show routes
    Routes {
        /// All that are known, or those that peers were told
        #[arg(value_enum, default_value = "available", value_name = "TABLE")]
        table: TableArg,
        /// Their family
        #[arg(value_enum, default_value = "ipv4", value_name = "AFI")]
        afi: Afi,
        /// Always unicast
        #[arg(value_enum, default_value = "unicast", value_name = "SAFI")]
        safi: Safi,
        #[command(flatten)]
        from: From,
    },
}

#[derive(Debug, clap::Args)]
struct From {
    /// The only node that is wanted
    #[arg(long, value_name = "NODE", add = complete::nodes())]
    node: Option<String>,
    /// The lab, where several are running
    #[arg(long, value_name = "LAB", add = complete::labs())]
    lab: Option<String>,
    /// How it is printed
    #[arg(
        short = 'o',
        long,
        visible_alias = "output",
        value_enum,
        default_value = "text"
    )]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TableArg {
    Available,
    Advertised,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Afi {
    Ipv4,
    Ipv6,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Safi {
    Unicast,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let Of::Bgp { what } = args.of;
    let (query, from) = match what {
        What::Peers { from } => (Query::Peers, from),
        What::Routes {
            table,
            afi,
            safi: Safi::Unicast,
            from,
        } => {
            let table = match table {
                TableArg::Available => Table::Available,
                TableArg::Advertised => Table::Advertised,
            };
            let family = match afi {
                Afi::Ipv4 => AddressFamily::Ipv4,
                Afi::Ipv6 => AddressFamily::Ipv6,
            };
            (Query::Routes(table, family), from)
        }
    };
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, from.lab.as_deref())?;
    let request = Request::Cilium {
        node: from.node,
        query,
    };
    let (Reply::Cilium(answers), _) = Client::connect(&lab)?.ask(&request)? else {
        return Err(Failure::host("the supervisor speaks another version of nslab"));
    };
    match from.format {
        Format::Json => print_json(&view::json(&answers)),
        Format::Text => {
            let advertised = matches!(query, Query::Routes(Table::Advertised, _));
            print(&view::text(&answers, advertised));
            Ok(())
        }
    }
}

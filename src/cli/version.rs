//! `nslab version`.

use serde_json::json;

use super::{Format, print, print_json};
use crate::failure::Failure;
use crate::run::protocol;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  nslab version\n\nThe versions of FRR and the other programs of this host: `nslab doctor`."
)]
pub struct Args {
    /// How it is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match args.format {
        Format::Json => print_json(&json!({
            "version": version,
            "protocol": protocol::VERSION,
            "architecture": std::env::consts::ARCH,
        })),
        Format::Text => {
            print(&format!("nslab {version}\n"));
            Ok(())
        }
    }
}

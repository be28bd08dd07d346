//! `nslab schema`.

use super::print_json;
use crate::failure::Failure;
use crate::lab;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nslab schema > nslab.schema.json\n  \
    # then, on the first line of a lab file, for editors with a TOML language server:\n  \
    #:schema ./nslab.schema.json")]
pub struct Args {}

pub fn run(_: Args) -> Result<(), Failure> {
    print_json(&lab::spec::schema::schema())
}

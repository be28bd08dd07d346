//! `nslab schema`.

use super::{print, print_json};
use crate::failure::Failure;
use crate::lab::file::schema::schema;
use crate::view::reference;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nslab schema > nslab.schema.json\n  \
    # then, on the first line of a lab file, for editors with a TOML language server:\n  \
    #:schema ./nslab.schema.json\n\n  nslab schema --markdown | less    # the same to be read")]
pub struct Args {
    /// Every table and key as a page to be read, in Markdown
    #[arg(long)]
    markdown: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.markdown {
        true => {
            print(&reference::page(&schema()));
            Ok(())
        }
        false => print_json(&schema()),
    }
}

//! `nslab man`.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::failure::Failure;
use crate::kernel::error::Attempt;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nslab man | man -l -\n  nslab man --dir /usr/local/share/man/man1")]
pub struct Args {
    /// Write a page for nslab and one for each verb into this directory
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let command = super::Cli::command();
    if let Some(directory) = args.dir {
        let what = || format!("write manual pages into {}", directory.display());
        std::fs::create_dir_all(&directory).attempt(what)?;
        clap_mangen::generate_to(command, &directory).attempt(what)?;
        return Ok(());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .attempt(|| "render the manual page")?;
    super::print(&String::from_utf8_lossy(&page));
    Ok(())
}

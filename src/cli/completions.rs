//! `nslab completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  nslab completions bash | sudo tee /etc/bash_completion.d/nslab >/dev/null"
)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "nslab", &mut bytes);
    super::print(&String::from_utf8_lossy(&bytes));
    Ok(())
}

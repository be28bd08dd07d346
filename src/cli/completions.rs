//! `nslab completions`.

use clap::ValueEnum;

use super::complete;
use crate::failure::Failure;
use crate::kernel::error::Attempt;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    nslab completions bash | sudo tee /etc/bash_completion.d/nslab >/dev/null\n  \
    nslab completions zsh | sudo tee /usr/local/share/zsh/site-functions/_nslab >/dev/null\n  \
    nslab completions fish > ~/.config/fish/completions/nslab.fish\n\n\
    The script asks nslab itself: labs, nodes, pods, processes and checks are those that run. Users who are not root are\n\
    offered what they may see, which of root's labs is nothing.")]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    #[value(name = "powershell")]
    Powershell,
    Zsh,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let shell = args.shell.to_possible_value();
    let name = shell.as_ref().map_or("", |shell| shell.get_name());
    let script =
        complete::script(name, &super::program()).attempt(|| format!("write a script for {name}"))?;
    super::print(&String::from_utf8_lossy(&script));
    Ok(())
}

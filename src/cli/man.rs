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

/// What no option says: in roff (man(7)), each section after the options.
const SECTIONS: &str = r#".SH "EXIT STATUS"
.TP
0
All is done; of \fBtest\fR and \fBcheck\fR: all checks hold.
.TP
1
A check failed, a lab did not become ready, or what was printed did not arrive (a full disk, a pipe whose reader has gone).
.TP
2
The file or the arguments are wrong.
.TP
3
The host lacks something, which is named.
.PP
\fBexec\fR and \fBshell\fR pass the command's own status on, 128 and the signal's number where a signal ended it. Their own
failures are 125 (nslab), 126 (the command cannot be executed) and 127 (there is none of that name).
.SH ENVIRONMENT
.TP
NSLAB_RUN_DIR
Where labs keep what says that they live, in place of \fI/run/nslab\fR. A directory that is root's (or the user's, without
root), that nobody else can change, and that is empty or nslab's own. Labs of one run directory are not seen from another.
sudo passes no variable on: \fBsudo NSLAB_RUN_DIR=\fR\fIDIR\fR\fB nslab \&...\fR
.TP
NSLAB_IMAGE_DIR
Where container images are kept, in place of \fI/var/lib/nslab/images\fR (without root: \fInslab/images\fR below XDG_DATA_HOME,
or \fI~/.local/share\fR). A directory that is root's (or the user's) and that nobody else can change.
.TP
REGISTRY_AUTH_FILE, DOCKER_CONFIG
The file with passwords for registries, and the directory in which Docker keeps one (\fI~/.docker\fR).
.TP
NO_COLOR
Set to anything: no colors. TERM=dumb: no colors, and no line that is overwritten.
.TP
LC_ALL, LC_CTYPE, LANG
The first that is set says whether frames and trees may be drawn with more than ASCII.
.TP
SUDO_UID, SUDO_GID
Whom files belong to that nslab writes for the user. sudo sets them.
.TP
PATH
Where programs that a lab \fBrequires\fR, and those of Kubernetes, are looked for.
.TP
XDG_RUNTIME_DIR
Without root: labs keep what says that they live in \fInslab\fR there.
.TP
XDG_CACHE_HOME, HOME
Where Kubernetes' programs are looked for as well that \fBscripts/kubernetes-binaries\fR has made.
.TP
NSLAB_OUTSIDE
Without root: the program that leads to the outside, \fBpasta\fR or \fBslirp4netns\fR, or \fBnone\fR.
.TP
NSLAB_LOG
Which of its own steps nslab says on standard error, and a lab's supervisor in its log: \fBnslab=debug\fR,
\fBnslab::kernel=trace,info\fR. \fB-v\fR, \fB-vv\fR and \fB-vvv\fR are nslab=info, debug and trace. With
NSLAB_LOG_FORMAT=json each line is an object.
.TP
NSLAB_COMPLETE
Set by the scripts of \fBcompletions\fR.
.PP
Variables of a topology of containerlab's, such as ${IMAGE:=frr}, are those of nslab's own environment.
.SH FILES
.TP
\fI/run/nslab/LAB/\fR
Of a lab that lives: its control socket, state, and logs (\fIlogs/\fR). Gone with the lab, or with the next nslab command.
.TP
\fI/run/nslab/.tests/\fR
The run directories of labs that are tested.
.TP
\fI/run/netns/LAB-NODE\fR
With \fBup \-\-named\fR: symbolic links for ip netns.
.TP
\fI/etc/subuid\fR, \fI/etc/subgid\fR
Without root: the ids that the user has for labs.
.TP
\fI/usr/lib/frr/\fR, \fI/usr/bin/vtysh\fR
FRR, where it is installed.
.SH EXAMPLES
.nf
sudo nslab up labs/quickstart.toml            # until Ctrl\-C
sudo nslab up \-d topo.clab.yml                # in the background
sudo nslab ps                                 # nodes of all labs
sudo nslab exec \-it tor0 bash
sudo nslab exec \-\-kind router vtysh \-c 'show ip route'
sudo nslab logs \-f \-\-since 5m
sudo nslab test labs/*.toml \-j 4 \-\-junit report.xml
sudo nslab down \-\-all
.fi
.SH SECURITY
A lab file is a program for root to run: read a stranger's before it runs. Root in a node may do what networks need and
nothing to the machine, unless the file gives it more; docs/security.md has the table.
.SH "SEE ALSO"
\fBip\-netns\fR(8), \fBnetwork_namespaces\fR(7), \fBvtysh\fR(1). The documents of nslab: docs/troubleshooting.md for messages and what
to do, docs/reference.md for JSON, MTU and what a machine needs.
"#;

pub fn run(args: Args) -> Result<(), Failure> {
    let command = super::Cli::command();
    if let Some(directory) = args.dir {
        let what = || format!("write manual pages into {}", directory.display());
        std::fs::create_dir_all(&directory).attempt(what)?;
        clap_mangen::generate_to(command.clone(), &directory).attempt(what)?;
        std::fs::write(directory.join("nslab.1"), page(command).attempt(what)?).attempt(what)?;
        return Ok(());
    }
    let page = page(command).attempt(|| "render the manual page")?;
    super::print(&String::from_utf8_lossy(&page));
    Ok(())
}

/// The page of nslab itself.
fn page(command: clap::Command) -> std::io::Result<Vec<u8>> {
    // What stands below the help for those who have no page at hand has sections of its own here.
    let man = clap_mangen::Man::new(command.after_help(""));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    page.extend_from_slice(SECTIONS.as_bytes());
    man.render_version_section(&mut page)?;
    Ok(page)
}

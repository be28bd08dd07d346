//! Reading a configuration, whole or line by line.

use super::commands::TABLE;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::diagnostic::{Diagnostic, DiagnosticKind, Refusal};
use super::edit::{Edit, Handler, Mode, Place};
use super::foreign;
use super::grammar::{Candidate, Fault, FaultKind, Found};
use super::model::{Config, Interface};
use super::pipe::{Pipe, cut, pipe};

/// What a line did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It says nothing: empty or a comment.
    Nothing,
    /// The configuration was changed, or another mode was entered.
    Done,
    /// A mode was left; at the top, the configuration.
    Exit,
    /// `end`: the configuration is left.
    End,
}

/// What the router has itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Its addresses: none of them is a neighbor's.
    pub addresses: BTreeSet<IpAddr>,
    /// Its interfaces; none where they are not known.
    pub interfaces: BTreeSet<String>,
}

impl FromIterator<IpAddr> for Own {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Own {
        Own {
            addresses: addresses.into_iter().collect(),
            interfaces: BTreeSet::new(),
        }
    }
}

/// Changes a configuration by one line, as `configure terminal` does. As in vtysh, a line that does not belong
/// where it stands is tried further out. The text is what vtysh prints of a line that is taken.
///
/// # Errors
/// The line is not taken, and nothing is changed.
pub fn apply(
    config: &mut Config,
    mode: &mut Mode,
    own: &Own,
    line: &str,
) -> Result<(Applied, String), Diagnostic> {
    take(config, mode, own, line).map_err(|stop| stop.diagnostic(line))
}

/// What `?` tells at a line's end.
pub fn help(mode: &Mode, line: &str) -> Vec<Candidate> {
    TABLE.complete(mode.place(), line)
}

/// The patterns of the commands that could stand there.
pub fn patterns(mode: &Mode) -> Vec<&'static str> {
    let place = mode.place();
    let commands = TABLE.commands().iter();
    let commands = commands.filter(|command| command.modes.contains(&place));
    commands.map(|command| command.pattern).collect()
}

/// Why a line is not taken.
pub(super) enum Stop {
    Fault(Fault),
    Refusal(Refusal),
    /// FRR has the command there, and with the second lines of its own follow.
    Foreign(Mode, bool),
}

impl Stop {
    pub fn diagnostic(self, line: &str) -> Diagnostic {
        match self {
            Stop::Fault(fault) => Diagnostic::fault(fault, line),
            Stop::Refusal(refusal) => Diagnostic::refused(refusal, line),
            Stop::Foreign(..) => Diagnostic::foreign(line),
        }
    }
}

pub(super) fn take(
    config: &mut Config,
    mode: &mut Mode,
    own: &Own,
    line: &str,
) -> Result<(Applied, String), Stop> {
    let text = line.trim();
    if text.is_empty() || text.starts_with(['!', '#']) {
        return Ok((Applied::Nothing, String::new()));
    }
    let (place, found) = find(mode, line)?;
    if place.vrf().is_some() && is_of_neighbors(text) {
        return Err(Stop::Foreign(place, false));
    }
    let (mut vrf, mut there) = place.clone().apart();
    let (mut applied, mut said) = (Applied::Done, String::new());
    let outcome = (found.id)(
        &mut Edit {
            config,
            mode: &mut there,
            vrf: &mut vrf,
            applied: &mut applied,
            said: &mut said,
            own,
            line: text,
        },
        &found.arguments,
    );
    // An interface of which nothing is said is none of the configuration's.
    config
        .interfaces
        .retain(|_, interface| *interface != Interface::default());
    if let Err(refusal) = outcome {
        // As in vtysh what is refused was understood, further out if need be.
        *mode = place;
        return Err(Stop::Refusal(refusal));
    }
    *mode = there.within(vrf);
    for bgp in config.instances_mut() {
        bgp.settle();
    }
    Ok((applied, said))
}

/// Whether a line is about neighbors: a VRF's BGP has none here.
fn is_of_neighbors(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| *word == "no");
    let first = words.next().unwrap_or_default();
    let is_short_for = |word: &str, whole: &str, least: usize| word.len() >= least && whole.starts_with(word);
    is_short_for(first, "neighbor", 3)
        || (first == "bgp" && words.next().is_some_and(|word| is_short_for(word, "listen", 2)))
}

/// Finds a line's command where it stands, else further out.
pub(super) fn find<'l>(mode: &Mode, line: &'l str) -> Result<(Mode, Found<'static, 'l, Handler>), Stop> {
    let mut place = Some(mode.clone());
    let mut first: Option<Fault> = None;
    while let Some(here) = place {
        match TABLE.find(here.place(), line) {
            Ok(found) => match found.is_shortened && foreign::is_ambiguous(here.place(), line) {
                true => return Err(Stop::Fault(ambiguous(line))),
                false => return Ok((here, found)),
            },
            Err(mut fault) => {
                match foreign::configures(here.place(), line) {
                    Ok(opens) => return Err(Stop::Foreign(here, opens)),
                    Err(FaultKind::Incomplete) if fault.kind == FaultKind::Unknown => {
                        fault.kind = FaultKind::Incomplete;
                    }
                    Err(_) => {}
                }
                // What is short for several words is not looked for further out.
                if fault.kind == FaultKind::Ambiguous {
                    return Err(Stop::Fault(fault));
                }
                let further = first.as_ref().is_none_or(|first| worse(first, &fault));
                place = here.parent();
                if further {
                    first = Some(fault);
                }
            }
        }
    }
    Err(Stop::Fault(first.unwrap_or(Fault {
        kind: FaultKind::Unknown,
        span: 0..line.len(),
        expected: Vec::new(),
    })))
}

/// What is short for a command here and for another of FRR's.
fn ambiguous(line: &str) -> Fault {
    Fault {
        kind: FaultKind::Ambiguous,
        span: line.len() - line.trim_start().len()..line.trim_end().len(),
        expected: Vec::new(),
    }
}

/// Whether another mode understood more of the line.
fn worse(fault: &Fault, other: &Fault) -> bool {
    fault.kind == FaultKind::Unknown && other.span.start > fault.span.start
}

/// Lines of a block that only FRR has.
#[derive(Debug)]
pub(super) struct Foreign {
    /// How far its first line is indented.
    indentation: usize,
    /// Where the lines after it belong.
    mode: Mode,
}

impl Foreign {
    /// A block that a line begins, in this mode.
    pub fn begin(line: &str, mode: Mode) -> Foreign {
        Foreign {
            indentation: indentation(line),
            mode,
        }
    }

    /// Whether a line is in the block, and whether the block ends with it.
    pub fn covers(&self, line: &str) -> (bool, bool) {
        let text = line.trim();
        if text.is_empty() || text.starts_with(['!', '#']) {
            return (true, false);
        }
        let inner = indentation(line) > self.indentation;
        match text {
            "exit" | "quit" | "exit-vrf" if !inner => (true, true),
            "exit-address-family" if self.mode.place() == Place::Bgp => (true, true),
            "end" => (false, true),
            _ if inner => (true, false),
            _ => {
                let known = TABLE.find(Place::Configure, line).is_ok();
                let family = self.mode.place() == Place::Bgp && text.starts_with("address-family");
                (!(known || family), known || family)
            }
        }
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Reads a text line by line.
#[derive(Debug, Default)]
pub struct Reader {
    /// The router's own addresses.
    pub own: Own,
    mode: Mode,
    foreign: Option<Foreign>,
}

impl Reader {
    /// Where the next line stands.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Whether lines are passed over, being those of a block that only FRR has.
    pub fn passes_over(&self) -> bool {
        self.foreign.is_some()
    }

    /// Takes the next line, and gives what vtysh prints of it. Lines of a block that only FRR has are passed over: its first
    /// line was told.
    ///
    /// # Errors
    /// The line is not taken, and nothing is changed; or of one with a filter the part before it is taken.
    pub fn take(&mut self, config: &mut Config, line: &str) -> Result<String, Diagnostic> {
        if let Some(block) = &self.foreign {
            let (covered, ends) = block.covers(line);
            if ends {
                self.foreign = None;
            }
            if covered {
                return Ok(String::new());
            }
        }
        let (diagnostic, line) = match (cut(line), pipe(line)) {
            (Some(diagnostic), Some(Pipe { filter: Err(_), .. })) => return Err(diagnostic),
            (Some(diagnostic), Some(pipe)) => (Some(diagnostic), pipe.command),
            _ => (None, line),
        };
        let stop = match (take(config, &mut self.mode, &self.own, line), diagnostic) {
            (Ok((_, said)), None) => return Ok(said),
            (Ok(_), Some(diagnostic)) => return Err(diagnostic),
            (Err(stop), _) => stop,
        };
        if let Stop::Foreign(mode, true) = &stop {
            self.mode = mode.clone();
            self.foreign = Some(Foreign::begin(line, mode.clone()));
        }
        Err(stop.diagnostic(line))
    }
}

impl Config {
    /// Reads a configuration, and tells every error at once.
    pub fn parse(text: &str) -> (Config, Vec<Diagnostic>) {
        Config::parse_at(text, &Own::default())
    }

    /// The same of a router with these addresses.
    pub fn parse_at(text: &str, own: &Own) -> (Config, Vec<Diagnostic>) {
        let mut config = Config::default();
        let mut reader = Reader {
            own: own.clone(),
            ..Reader::default()
        };
        let lines = text.lines().enumerate();
        let diagnostics = lines.filter_map(|(at, line)| {
            let diagnostic = reader.take(&mut config, line).err()?;
            Some(Diagnostic {
                line: at + 1,
                ..diagnostic
            })
        });
        let diagnostics = diagnostics.collect();
        (config, diagnostics)
    }

    /// Whether some of what a text says only FRR can do.
    pub fn needs_frr(diagnostics: &[Diagnostic]) -> bool {
        diagnostics
            .iter()
            .any(|diagnostic| diagnostic.kind == DiagnosticKind::NeedsFrr)
    }
}

//! Reading a configuration, whole or line by line.

use super::commands::TABLE;
use super::edit::{Edit, Handler, Mode, Place};
use super::grammar::{Candidate, Fault, FaultKind, Found};
use super::mistake::{Mistake, MistakeKind, Refusal};
use super::model::Config;
use super::policy::Family;

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

/// Changes a configuration by one line, as `configure terminal` does. As in vtysh, a line that does not belong
/// where it stands is tried further out.
///
/// # Errors
/// The line is not taken, and nothing is changed.
pub fn apply(config: &mut Config, mode: &mut Mode, line: &str) -> Result<Applied, Mistake> {
    take(config, mode, line).map_err(|stop| stop.mistake(line))
}

/// The words that could stand at a line's end.
pub fn complete(mode: &Mode, line: &str) -> Vec<Candidate> {
    let mut candidates = TABLE.complete(mode.place(), line);
    candidates.retain(|candidate| candidate.is_keyword);
    candidates
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
enum Stop {
    Fault(Fault),
    Refusal(Refusal),
}

impl Stop {
    fn mistake(self, line: &str) -> Mistake {
        match self {
            Stop::Fault(fault) => Mistake::fault(fault, line),
            Stop::Refusal(refusal) => Mistake::refused(refusal, line),
        }
    }

    fn opens_block(&self) -> bool {
        matches!(self, Stop::Refusal(Refusal::NeedsFrr { block: true }))
    }
}

fn take(config: &mut Config, mode: &mut Mode, line: &str) -> Result<Applied, Stop> {
    let text = line.trim();
    if text.is_empty() || text.starts_with(['!', '#']) {
        return Ok(Applied::Nothing);
    }
    match (text, &*mode) {
        ("end", _) => {
            *mode = Mode::Configure;
            return Ok(Applied::End);
        }
        ("exit" | "quit", _) | ("exit-address-family", Mode::Family(_)) => {
            *mode = mode.parent().unwrap_or_default();
            return Ok(Applied::Exit);
        }
        // FRR's own configurations may close a block that a parent's command has closed before.
        ("exit-address-family", Mode::Bgp) => return Ok(Applied::Exit),
        _ => {}
    }
    let (place, found) = find(mode, line).map_err(Stop::Fault)?;
    let mut there = place;
    (found.id)(
        &mut Edit {
            config,
            mode: &mut there,
        },
        &found.arguments,
    )
    .map_err(Stop::Refusal)?;
    *mode = there;
    if let Some(bgp) = &mut config.bgp {
        bgp.settle();
    }
    Ok(Applied::Done)
}

/// Finds a line's command where it stands, else further out.
fn find<'l>(mode: &Mode, line: &'l str) -> Result<(Mode, Found<'static, 'l, Handler>), Fault> {
    let mut place = Some(mode.clone());
    let mut first: Option<Fault> = None;
    while let Some(here) = place {
        match TABLE.find(here.place(), line) {
            Ok(found) => return Ok((here, found)),
            Err(fault) => {
                let further = first.as_ref().is_none_or(|first| worse(first, &fault));
                place = here.parent();
                if further {
                    first = Some(fault);
                }
            }
        }
    }
    Err(first.unwrap_or(Fault {
        kind: FaultKind::Unknown,
        span: 0..line.len(),
        expected: Vec::new(),
    }))
}

/// Whether another mode understood more of the line.
fn worse(fault: &Fault, other: &Fault) -> bool {
    fault.kind == FaultKind::Unknown && other.span.start > fault.span.start
}

/// Lines of a block that only FRR has.
#[derive(Debug)]
struct Foreign {
    /// How far its first line is indented.
    indentation: usize,
    /// Where the lines after it belong.
    mode: Mode,
}

impl Foreign {
    /// Whether a line is in the block, and whether the block ends with it.
    fn covers(&self, line: &str) -> (bool, bool) {
        let text = line.trim();
        if text.is_empty() || text.starts_with(['!', '#']) {
            return (true, false);
        }
        let inner = indentation(line) > self.indentation;
        match text {
            "exit" | "quit" | "exit-vrf" if !inner => (true, true),
            "exit-address-family" if self.mode == Mode::Bgp => (true, true),
            "end" => (false, true),
            _ if inner => (true, false),
            _ => {
                let known = TABLE.find(Place::Configure, line).is_ok();
                let family = self.mode == Mode::Bgp && text.starts_with("address-family");
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

    /// Takes the next line. Lines of a block that only FRR has are passed over: its first line was told.
    ///
    /// # Errors
    /// The line is not taken, and nothing is changed.
    pub fn take(&mut self, config: &mut Config, line: &str) -> Result<(), Mistake> {
        if let Some(block) = &self.foreign {
            let (covered, ends) = block.covers(line);
            if ends {
                self.foreign = None;
            }
            if covered {
                return Ok(());
            }
        }
        let Err(stop) = take(config, &mut self.mode, line) else {
            return Ok(());
        };
        if stop.opens_block() {
            self.mode = outside(&self.mode, line);
            self.foreign = Some(Foreign {
                indentation: indentation(line),
                mode: self.mode.clone(),
            });
        }
        Err(stop.mistake(line))
    }
}

impl Config {
    /// Reads a configuration, and tells every mistake at once.
    pub fn parse(text: &str) -> (Config, Vec<Mistake>) {
        let mut config = Config::default();
        let mut reader = Reader::default();
        let lines = text.lines().enumerate();
        let mistakes = lines.filter_map(|(at, line)| {
            let mistake = reader.take(&mut config, line).err()?;
            Some(Mistake {
                line: at + 1,
                ..mistake
            })
        });
        let mistakes = mistakes.collect();
        (config, mistakes)
    }

    /// Whether some of what a text says only FRR can do.
    pub fn needs_frr(mistakes: &[Mistake]) -> bool {
        mistakes
            .iter()
            .any(|mistake| mistake.kind == MistakeKind::NeedsFrr)
    }
}

/// Where lines after a foreign block belong: its first line may itself have left a mode.
fn outside(mode: &Mode, line: &str) -> Mode {
    match find(mode, line) {
        Ok((Mode::Family(Family::Ipv4Unicast | Family::Ipv6Unicast), _)) => Mode::Bgp,
        Ok((place, _)) => place,
        Err(_) => mode.clone(),
    }
}

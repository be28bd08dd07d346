//! What came of failures: as data, and as text for people.

use std::fmt::Write as _;

use serde::Serialize;

use crate::scenario::judge::milliseconds;
use crate::view::table;

/// How many that healed are listed, the slowest first, where there are more.
const LISTED: usize = 20;

/// What came of one set of failures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// Its number in the order of all sets.
    pub number: u64,
    /// What failed, in words.
    pub failure: String,
    /// What failed, as `--only` takes it.
    pub only: String,
    /// How many things failed at once.
    pub size: usize,
    /// Whether all pairs that are still connected could speak again in time.
    pub healed: bool,
    /// The longest time in which such a pair could not.
    pub outage_ns: u64,
    /// Whether a sender itself had gaps, so that an outage may have been longer or shorter.
    pub unsure: bool,
    /// Packets that all pairs lost together.
    pub lost: u64,
    /// Pairs that are still connected.
    pub connected: usize,
    /// Pairs that are not.
    pub cut_off: usize,
    /// The pairs that could not speak in time.
    pub silent: Vec<String>,
    /// How long the lab took to be as before, once all was mended; none where it was not.
    pub back_ns: Option<u64>,
    /// What else went wrong.
    pub trouble: Option<String>,
}

/// What came of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// The lab.
    pub lab: String,
    /// Whether all that was tried healed.
    pub healed: bool,
    /// How many sets of failures there are.
    pub sets: u64,
    /// How many were tried.
    pub tried: usize,
    /// How many were not.
    pub left_out: u64,
    /// What was not let fail, in words.
    pub spared: Vec<String>,
    /// The seed of the order, where it was a random one.
    pub seed: Option<u64>,
    /// How long it took, the lab's coming up included.
    pub seconds: f64,
    /// The smallest set that did not heal.
    pub smallest: Option<String>,
    /// The command that tries it again.
    pub again: Option<String>,
    /// All that was tried, in the order of the sets.
    pub trials: Vec<Trial>,
}

impl Survey {
    /// As text for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let (failed, healed): (Vec<&Trial>, Vec<&Trial>) =
            self.trials.iter().partition(|trial| trial.has_failed());
        let mut listed: Vec<&Trial> = healed.clone();
        if listed.len() > LISTED {
            listed.sort_by_key(|trial| std::cmp::Reverse(trial.outage_ns));
            listed.truncate(LISTED);
        }
        let mut table = table::table(&["FAILURE", "HEALED", "OUTAGE", "LOST", "PAIRS", "BACK"]);
        for trial in failed.iter().chain(&listed) {
            table.add_row(trial.row());
        }
        text.push_str(&table::render(&mut table));
        if healed.len() > listed.len() {
            let _ = writeln!(
                text,
                "… and {} more that healed faster",
                healed.len() - listed.len()
            );
        }
        for trial in failed.iter().take(LISTED) {
            if !trial.silent.is_empty() {
                let _ = writeln!(text, "{}: no way for {}", trial.failure, shortened(&trial.silent));
            }
        }
        for trial in &self.trials {
            if let Some(trouble) = &trial.trouble {
                let _ = writeln!(text, "{}: {trouble}", trial.failure);
            }
        }
        self.conclude(&mut text, failed.len());
        text
    }

    fn conclude(&self, text: &mut String, failed: usize) {
        if let (Some(smallest), Some(again)) = (&self.smallest, &self.again) {
            let _ = writeln!(text, "smallest that does not heal: {smallest}\n  again: {again}");
        }
        let _ = write!(
            text,
            "{}: {} of {} sets of failures tried in {:.2} s",
            self.lab, self.tried, self.sets, self.seconds
        );
        let _ = match failed {
            0 => write!(text, "; all healed"),
            failed => write!(text, "; {failed} did not heal"),
        };
        let _ = match self.left_out {
            0 => writeln!(text),
            left => writeln!(text, "; {left} were left out, as the time was up"),
        };
        if let Some(seed) = self.seed {
            let _ = writeln!(text, "the order follows from --seed {seed}");
        }
        if !self.spared.is_empty() {
            let _ = writeln!(text, "not let fail: {}", self.spared.join(", "));
        }
    }
}

impl Trial {
    /// Whether the lab did not heal, or was not as before once all was mended.
    pub fn has_failed(&self) -> bool {
        !self.healed || self.trouble.is_some()
    }

    fn row(&self) -> [String; 6] {
        [
            self.failure.clone(),
            match (self.healed, &self.trouble) {
                (true, None) => "yes",
                (true, Some(_)) => "not back",
                (false, _) => "NO",
            }
            .to_owned(),
            match (self.outage_ns, self.unsure) {
                (0, true) => "?".to_owned(),
                (0, false) => "-".to_owned(),
                (outage, true) => format!("{}?", milliseconds(outage)),
                (outage, false) => milliseconds(outage),
            },
            self.lost.to_string(),
            match self.cut_off {
                0 => self.connected.to_string(),
                cut_off => format!("{} ({cut_off} cut off)", self.connected),
            },
            self.back_ns.map_or("-".to_owned(), milliseconds),
        ]
    }
}

fn shortened(names: &[String]) -> String {
    match names.len() {
        0..=6 => names.join(", "),
        count => format!("{} and {} more", names[..6].join(", "), count - 6),
    }
}

//! A lab as a test: brought up in a run directory of its own, checked, taken down.

pub mod junit;
pub mod recording;
pub mod report;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::check::ask;
use crate::check::runner::{Word, check_all};
use crate::check::stop::Stop;
use crate::check::up::Up;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::output;
use crate::kernel::rootless::is_rootless;
use crate::lab::check::Phase;
use crate::lab::scenario::Scenario;
use crate::run::client::Client;
use crate::run::directory::{LabDirectory, RunDirectory, TestDirectory};
use crate::run::protocol::{Reply, Request};
use crate::run::user_files;
use crate::scenario::act::Stage;
use crate::scenario::play::play;
use crate::scenario::report::ScenarioReport;
use recording::Recording;
use report::{LabReport, Life};

/// How long a lab may take to be taken down.
const DOWN: Duration = Duration::from_secs(30);

/// What is to be tried.
pub struct Trial<'a> {
    /// The lab file, or other tools' files that are one lab together, as the user wrote them.
    pub files: &'a [PathBuf],
    /// The lab's name.
    pub lab: &'a str,
    /// Why it is skipped, if it is.
    pub skip: Option<String>,
    /// Options for `nslab up`.
    pub options: &'a [String],
    /// The scenarios that are played after the checks.
    pub scenarios: &'a [Scenario],
    /// Whether a lab that failed stays alive.
    pub keep: bool,
    /// The directory for the logs of this lab, should it fail.
    pub logs: Option<&'a Path>,
    /// Whether a capture is kept beside them.
    pub capture: bool,
}

impl Trial<'_> {
    /// The file that stands for all.
    fn file(&self) -> &Path {
        self.files.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Makes the trial. Returns none when the user wants to end; nothing is left then.
    ///
    /// # Errors
    /// The host refuses what every trial needs.
    pub fn run(
        &self,
        directory: &RunDirectory,
        stop: &Stop,
        say: &mut dyn FnMut(Word),
    ) -> Result<Option<LabReport>, Failure> {
        let began = Instant::now();
        let mut report = LabReport {
            lab: self.lab.to_owned(),
            file: self.file().to_owned(),
            life: Life::Ready,
            ready_seconds: None,
            checked_seconds: None,
            seconds: 0.0,
            checks: Vec::new(),
            scenarios: Vec::new(),
            kept: None,
        };
        if let Some(reason) = &self.skip {
            report.life = Life::Skipped {
                reason: reason.clone(),
            };
            say(Word::Settled(report.text()));
            return Ok(Some(report));
        }
        let place = directory.for_test(self.lab)?;
        say(Word::Now(format!("{}: coming up", self.lab)));
        let lab = place.lab(self.lab);
        let mut up = Up::start(self.files, self.options, self.keep, (&place, &lab))?;
        let life = up.until_ready(stop)?;
        if stop.wanted() {
            up.take_down()?;
            return Ok(None);
        }
        report.life = life;
        if report.life == Life::Ready {
            report.ready_seconds = Some(began.elapsed().as_secs_f64());
        }
        let head = LabReport::head(self.file(), self.lab, &report.life, report.ready_seconds);
        say(Word::Settled(head));
        if report.life == Life::Ready {
            let recording = match self.capture && self.logs.is_some() {
                true => Some(Recording::begin(&lab)?),
                false => None,
            };
            if !check_phases(&lab, &mut report, stop, say)? {
                up.take_down()?;
                return Ok(None);
            }
            if let Some(recording) = recording
                && let Some(logs) = self.logs
            {
                recording.keep(&logs.join("capture.pcapng"), report.has_failed())?;
            }
            report.checked_seconds = Some(began.elapsed().as_secs_f64());
            match self.play_all(up, &place, &mut report, stop, say)? {
                Some(alive) => up = alive,
                None => return Ok(None),
            }
        }
        if report.has_failed()
            && let Some(logs) = self.logs
        {
            save_logs(&report, &lab, logs)?;
        }
        if self.keep && report.has_failed() && report.life == Life::Ready {
            let text = kept(&place, self.lab, &report);
            say(Word::Settled(text.clone()));
            report.kept = Some(text);
            up.leave();
        } else {
            say(Word::Now(format!("{}: going down", self.lab)));
            up.take_down()?;
        }
        report.seconds = began.elapsed().as_secs_f64();
        Ok(Some(report))
    }
}

impl Trial<'_> {
    /// Plays the scenarios, each on a lab that is as it was when it had come up: one that is not so any more is brought up anew.
    /// Returns the living lab, or none when the user wants to end; nothing is left then.
    fn play_all(
        &self,
        mut up: Up,
        place: &TestDirectory,
        report: &mut LabReport,
        stop: &Stop,
        say: &mut dyn FnMut(Word),
    ) -> Result<Option<Up>, Failure> {
        let lab = place.lab(self.lab);
        for (at, scenario) in self.scenarios.iter().enumerate() {
            if report.has_failed() && report.scenarios.iter().all(|it| !it.has_failed()) {
                let skipped = ScenarioReport::skipped(scenario, "the lab is not as it must be before it");
                say(Word::Settled(skipped.text()));
                report.scenarios.push(skipped);
                continue;
            }
            let checks = ask::checks_of(&lab)?;
            let stage = Stage {
                lab: &lab,
                checks: &checks,
                stop,
            };
            let logs = self.logs.filter(|_| self.capture || scenario.capture);
            let recording = logs.map(|_| Recording::begin(&lab)).transpose()?;
            let Some(played) = play(&stage, scenario, say)? else {
                up.take_down()?;
                return Ok(None);
            };
            if let (Some(recording), Some(logs)) = (recording, logs) {
                let file = logs.join(recording::file_of(at, &scenario.name));
                recording.keep(&file, played.report.has_failed())?;
            }
            let keeps = self.keep && played.report.has_failed();
            report.scenarios.push(played.report);
            let is_last = at + 1 == self.scenarios.len();
            if keeps {
                break;
            }
            if played.dirty.is_some() && !is_last {
                say(Word::Now(format!("{}: coming up again", self.lab)));
                up.take_down()?;
                up = Up::start(self.files, self.options, self.keep, (place, &lab))?;
                report.life = up.until_ready(stop)?;
                if stop.wanted() {
                    up.take_down()?;
                    return Ok(None);
                }
                if report.life != Life::Ready {
                    break;
                }
                apply_held(&lab, report, say)?;
            }
        }
        Ok(Some(up))
    }
}

/// Makes the checks of both phases, with the lab's manifests applied in between. Returns whether it came to the end; else
/// the user wants to end.
fn check_phases(
    lab: &LabDirectory,
    report: &mut LabReport,
    stop: &Stop,
    say: &mut dyn FnMut(Word),
) -> Result<bool, Failure> {
    let checks = ask::checks_of(lab)?;
    let (before, after) = checks.split_at(checks.partition_point(|check| check.phase == Phase::Before));
    let Some(reports) = check_all(lab, before, stop, say) else {
        return Ok(false);
    };
    report.checks = reports;
    if !apply_held(lab, report, say)? {
        return Ok(true);
    }
    let Some(reports) = check_all(lab, after, stop, say) else {
        return Ok(false);
    };
    report.checks.extend(reports);
    Ok(true)
}

/// Applies the manifests of the lab file that were held back. Returns whether they could be.
fn apply_held(
    lab: &LabDirectory,
    report: &mut LabReport,
    say: &mut dyn FnMut(Word),
) -> Result<bool, Failure> {
    let held = Request::Apply {
        manifests: Vec::new(),
    };
    match Client::connect(lab)?.ask(&held) {
        Ok((Reply::Changed(changed), _)) => {
            for line in changed.lines {
                say(Word::Settled(format!("  apply {line}\n")));
            }
        }
        Ok(_) => {}
        Err(failure) => {
            report.life = Life::Failed {
                reason: failure.message,
                detail: failure.detail.unwrap_or_default(),
                code: failure.code as i32,
            };
            return Ok(false);
        }
    }
    Ok(true)
}

fn kept(place: &TestDirectory, lab: &str, report: &LabReport) -> String {
    let failed = report.checks.iter().find(|check| check.has_failed());
    let node = failed.map_or("NODE", |check| check.node.as_str());
    // Not everybody who is root has come by sudo, or has it.
    let by_sudo = !is_rootless() && std::env::var_os("SUDO_UID").is_some();
    let sudo = if by_sudo { "sudo " } else { "" };
    let nslab = format!("{sudo}NSLAB_RUN_DIR={} nslab", place.path().display());
    format!(
        "  the lab lives on:\n    look:  {nslab} shell {node}\n    \
         again: {nslab} check\n    end:   {nslab} down {lab}\n"
    )
}

/// Copies the logs of a lab that failed, with its events and the failure itself, for the user.
fn save_logs(report: &LabReport, lab: &LabDirectory, target: &Path) -> Result<(), Failure> {
    user_files::make_directory(target)?;
    let save = |name: &OsStr, text: &[u8], mode| user_files::write(&target.join(name), text, mode);
    save(
        OsStr::new("report.txt"),
        report.text().as_bytes(),
        user_files::OPEN,
    )?;
    if !lab.alive() {
        return Ok(());
    }
    for (name, verb) in [("events.txt", vec!["events"]), ("ps.txt", vec!["ps", "--wide"])] {
        let mut command = Command::new("/proc/self/exe");
        command.args(verb).args(["--lab", &lab.lab]);
        command.env("NSLAB_RUN_DIR", lab.path.parent().unwrap_or(&lab.path));
        let done = output::run(&mut command, Instant::now() + DOWN, None::<&File>)?;
        save(OsStr::new(name), done.out.as_ref(), user_files::OPEN)?;
    }
    let logs: Vec<PathBuf> = fs::read_dir(lab.logs())
        .attempt(|| "read the lab's logs")?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    for log in logs {
        if let Some(name) = log.file_name() {
            let text = fs::read(&log).attempt(|| format!("read {}", log.display()))?;
            save(name, &text, user_files::SECRET)?;
        }
    }
    Ok(())
}

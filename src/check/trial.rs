//! A lab as a test: brought up in a run directory of its own, checked, taken down.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::ask;
use super::recording::Recording;
use super::report::{CheckReport, LabReport, Life};
use super::runner;
use super::stop::Stop;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::rootless::is_rootless;
use crate::kernel::{output, process};
use crate::lab::check::{Check, Phase};
use crate::run::client::Client;
use crate::run::directory::{LabDirectory, RunDirectory, TestDirectory};
use crate::run::events::{Event, What};
use crate::run::protocol::{Reply, Request};
use crate::run::user_files;

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
    /// Whether a lab that failed stays alive.
    pub keep: bool,
    /// The directory for the logs of this lab, should it fail.
    pub logs: Option<&'a Path>,
    /// Whether a capture is kept beside them.
    pub capture: bool,
}

/// What a trial has to say while it goes on.
pub enum Word {
    /// What it does just now.
    Now(String),
    /// What is settled.
    Settled(String),
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
        let mut up = Up::start(self, &place)?;
        let life = up.until_ready(stop)?;
        if stop.wanted() {
            up.take_down(&place.lab(self.lab))?;
            return Ok(None);
        }
        report.life = life;
        if report.life == Life::Ready {
            report.ready_seconds = Some(began.elapsed().as_secs_f64());
        }
        let head = LabReport::head(self.file(), self.lab, &report.life, report.ready_seconds);
        say(Word::Settled(head));
        let lab = place.lab(self.lab);
        let mut recording = None;
        if report.life == Life::Ready {
            if self.capture && self.logs.is_some() {
                recording = Some(Recording::begin(&lab)?);
            }
            if !check_phases(&lab, &mut report, stop, say)? {
                up.take_down(&lab)?;
                return Ok(None);
            }
            report.checked_seconds = Some(began.elapsed().as_secs_f64());
        }
        if report.has_failed()
            && let Some(logs) = self.logs
        {
            save_logs(&report, &lab, logs)?;
            if let Some(recording) = &mut recording {
                save_capture(&recording.end(), logs)?;
            }
        }
        drop(recording);
        if self.keep && report.has_failed() && report.life == Life::Ready {
            let text = kept(&place, self.lab, &report);
            say(Word::Settled(text.clone()));
            report.kept = Some(text);
        } else {
            say(Word::Now(format!("{}: going down", self.lab)));
            up.take_down(&lab)?;
        }
        report.seconds = began.elapsed().as_secs_f64();
        Ok(Some(report))
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
            return Ok(true);
        }
    }
    let Some(reports) = check_all(lab, after, stop, say) else {
        return Ok(false);
    };
    report.checks.extend(reports);
    Ok(true)
}

/// Makes checks in order. Returns none when the user wants to end.
pub fn check_all(
    lab: &LabDirectory,
    checks: &[Check],
    stop: &Stop,
    say: &mut dyn FnMut(Word),
) -> Option<Vec<CheckReport>> {
    let mut reports = Vec::with_capacity(checks.len());
    for check in checks {
        say(Word::Now(format!("  wait  {}: {}", check.node, check.name)));
        let report = runner::make(lab, check, stop)?;
        say(Word::Settled(report.text()));
        reports.push(report);
    }
    Some(reports)
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

/// `nslab up` as a child. In the foreground its lab dies with it, and it dies with the calling thread.
struct Up {
    child: Child,
    events: ChildStdout,
    detached: bool,
}

impl Up {
    fn start(trial: &Trial<'_>, place: &TestDirectory) -> Result<Up, Failure> {
        let mut command = place.command();
        command
            .args(["up", "--hold-manifests", "--format", "json"])
            .args(trial.options);
        if trial.keep {
            command.arg("-d");
        }
        command.arg("--").args(trial.files);
        process::die_with_caller(&mut command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().attempt(|| "start nslab up")?;
        let events = child
            .stdout
            .take()
            .ok_or_else(|| Failure::host("no pipe to nslab up"))?;
        Ok(Up {
            child,
            events,
            detached: trial.keep,
        })
    }

    /// Reads events until the lab is ready or has failed, or the user wants to end.
    fn until_ready(&mut self, stop: &Stop) -> Result<Life, Failure> {
        let mut failure = None;
        let mut line = Vec::new();
        let mut buffer = [0u8; 16 * 1024];
        loop {
            if stop.wait(&[self.events.as_fd()], Duration::from_secs(3600)) {
                // Not what came of it; the caller looks at the wish first.
                return Ok(Life::Ready);
            }
            let size = self
                .events
                .read(&mut buffer)
                .attempt(|| "read what nslab up says")?;
            if size == 0 {
                return self.ended(failure);
            }
            for &byte in &buffer[..size] {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                match serde_json::from_slice::<Event>(&line).map(|event| event.what) {
                    Ok(What::Ready { .. }) if !self.detached => return Ok(Life::Ready),
                    Ok(What::Failed { failure: why }) => failure = Some(why),
                    _ => {}
                }
                line.clear();
            }
        }
    }

    /// What came of it: detached and well, or not ready.
    fn ended(&mut self, failure: Option<Failure>) -> Result<Life, Failure> {
        let mut said = String::new();
        if let Some(errors) = &mut self.child.stderr {
            // What is not text tells nothing.
            let _ = errors.read_to_string(&mut said);
        }
        let status = self.child.wait().attempt(|| "wait for nslab up")?;
        if status.success() && failure.is_none() {
            return Ok(Life::Ready);
        }
        let code = status.code().unwrap_or(1);
        Ok(match failure {
            Some(failure) => Life::Failed {
                reason: failure.message,
                detail: failure.detail.unwrap_or_default(),
                code,
            },
            None => {
                let mut lines = said.lines();
                let first = lines.next().unwrap_or("it was killed");
                Life::Failed {
                    reason: first.trim_start_matches("nslab: ").to_owned(),
                    detail: lines.map(str::trim).collect::<Vec<_>>().join("\n"),
                    code,
                }
            }
        })
    }

    /// Takes the lab down, if it lives, and waits for the end of all.
    fn take_down(mut self, lab: &LabDirectory) -> Result<(), Failure> {
        if self.detached && lab.alive() {
            let mut down = Command::new("/proc/self/exe");
            down.args(["down", &lab.lab]);
            down.env("NSLAB_RUN_DIR", lab.path.parent().unwrap_or(&lab.path));
            output::run(&mut down, Instant::now() + DOWN, None::<&File>)?;
        } else if let Ok(pidfd) = process::pidfd(self.child.id().cast_signed()) {
            let _ = process::signal(&pidfd, libc::SIGTERM);
        }
        // Its last words must not keep it from ending.
        drop(self.events);
        drop(self.child.stderr.take());
        self.child.wait().attempt(|| "wait for nslab up")?;
        Ok(())
    }
}

/// Copies what was captured of a lab that failed.
fn save_capture(captured: &Path, target: &Path) -> Result<(), Failure> {
    let bytes = fs::read(captured).attempt(|| format!("read {}", captured.display()))?;
    user_files::write(&target.join("capture.pcapng"), &bytes, user_files::SECRET)
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

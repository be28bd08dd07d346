//! What a living lab consists of outside of network namespaces, and whether any of it is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{DEADLINE, Lab};

/// A process: its PID, and when it began, as PIDs come again.
type Process = (i32, String);

/// What a living lab consists of outside of network namespaces: its processes and cgroups.
#[derive(Debug)]
pub struct Traces {
    run_directory: PathBuf,
    processes: Vec<Process>,
    cgroups: Vec<PathBuf>,
}

impl Traces {
    /// Those of a lab that lives now.
    #[track_caller]
    pub fn of(lab: &Lab, name: &str) -> Traces {
        let directory = nslab::run::directory::LabDirectory {
            path: lab.run_directory().join(name),
            lab: name.to_owned(),
        };
        let traces = Traces {
            run_directory: lab.run_directory(),
            processes: family(lab.supervisor(name).as_raw()),
            cgroups: cgroups(Path::new("/sys/fs/cgroup"), &directory.cgroup()),
        };
        assert!(!traces.processes.is_empty(), "lab {name} lives");
        traces
    }

    /// How many processes there were.
    pub fn processes(&self) -> usize {
        self.processes.len()
    }

    /// How many cgroup directories the lab had.
    pub fn cgroups(&self) -> usize {
        self.cgroups.len()
    }

    /// What of it is still there.
    pub fn living(&self) -> Vec<String> {
        let processes = self
            .processes
            .iter()
            .filter(|(pid, began)| birth(*pid).as_ref() == Some(began));
        let cgroups = self.cgroups.iter().filter(|path| path.exists());
        processes
            .map(|(pid, _)| format!("process {pid} {}", command_line(*pid)))
            .chain(cgroups.map(|path| path.display().to_string()))
            .chain(mentioning(&self.run_directory))
            .collect()
    }

    /// Waits until nothing of it is left.
    #[track_caller]
    pub fn gone(&self) {
        self.wait(|_| true);
    }

    /// Whether nothing of it is left.
    pub fn are_gone(&self) -> bool {
        self.living().is_empty()
    }

    /// Waits until no process of it is left. Cgroups may wait for a sweep.
    #[track_caller]
    pub fn processes_gone(&self) {
        self.wait(|it| it.starts_with("process"));
    }

    #[track_caller]
    fn wait(&self, counts: impl Fn(&str) -> bool) {
        let end = Instant::now() + DEADLINE;
        while self.living().iter().any(|it| counts(it)) {
            assert!(Instant::now() < end, "still there: {:#?}", self.living());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Processes that have the run directory in their environment or on their command line: launchers and watchers.
fn mentioning(run_directory: &Path) -> Vec<String> {
    let needle = run_directory.as_os_str().as_encoded_bytes();
    let mentions = |path: String| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    pids()
        .filter(|pid| mentions(format!("/proc/{pid}/environ")) || mentions(format!("/proc/{pid}/cmdline")))
        .map(|pid| format!("process {pid} {}", command_line(pid)))
        .collect()
}

fn command_line(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text.replace('\0', " ")
}

/// All processes.
pub fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A field of /proc/PID/stat after the command's name; the state is number 0.
pub fn stat(pid: i32, field: usize) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(field).map(str::to_owned)
}

/// When a process began. None where it has ended, reaped or not.
fn birth(pid: i32) -> Option<String> {
    stat(pid, 19).filter(|_| stat(pid, 0).is_some_and(|state| state != "Z" && state != "X"))
}

/// A process and all its descendants.
fn family(ancestor: i32) -> Vec<Process> {
    let parents: Vec<(i32, i32)> = pids()
        .filter_map(|pid| Some((pid, stat(pid, 1)?.parse().ok()?)))
        .collect();
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            parents
                .iter()
                .filter(|(_, it)| *it == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found
        .into_iter()
        .filter_map(|pid| Some((pid, birth(pid)?)))
        .collect()
}

/// Directories of a name in all trees of cgroups, with those below them.
pub fn cgroups(place: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut found = Vec::new();
    for path in directories.map(|entry| entry.path()) {
        if path.file_name().is_some_and(|file| file == name) {
            found.push(path.clone());
            found.extend(
                fs::read_dir(&path)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|it| it.path())
                    .filter(|it| it.is_dir()),
            );
        } else {
            found.extend(cgroups(&path, name));
        }
    }
    found
}

/// The process that the inits of a lab's nodes are copies of.
pub fn template(lab: &Lab, name: &str) -> Option<i32> {
    let supervisor = lab.supervisor(name).to_string();
    let is_it = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"nslab: template\0") && stat(*pid, 1) == Some(supervisor.clone())
    };
    pids().find(is_it)
}

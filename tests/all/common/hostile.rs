//! Run directories as somebody who means harm, or does not know, makes them, and what tells whether anything was touched.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;

use super::{Done, Lab, run};

/// What nslab writes into the locks of a lab and of a run directory.
pub const LAB_MARK: &str = "nslab: a lab's directory\n";
pub const MARK: &str = "nslab: a run directory; what is in it comes and goes with labs\n";
/// Another user.
pub const STRANGER: u32 = 65534;
/// No command may take longer, whatever it finds.
pub const PROMPT: Duration = Duration::from_secs(15);

/// Numbers that are the same in every run.
pub struct Rng(pub u64);

impl Rng {
    /// One of the numbers below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// Everything about files that a command might change.
pub fn snapshot(place: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![place.to_owned()];
    while let Some(path) = left.pop() {
        let it = fs::symlink_metadata(&path).unwrap();
        let mut text = format!(
            "{:o} {} {} {} {}",
            it.mode(),
            it.uid(),
            it.ino(),
            it.len(),
            it.nlink()
        );
        if it.is_symlink() {
            text += &format!(" -> {}", fs::read_link(&path).unwrap().display());
        } else if it.is_file() && it.len() < 1 << 20 {
            text += &format!(" {:?}", fs::read(&path).unwrap());
        } else if it.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path, text);
    }
    found
}

/// Makes a directory, and what is missing above it.
pub fn make_dir(path: &Path, mode: u32) {
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Writes a file.
pub fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Makes something another user's.
pub fn give_away(path: &Path) {
    chown(path, Some(STRANGER), Some(STRANGER)).unwrap();
}

/// The directory of a lab that is dead, as nslab leaves it.
pub fn dead_lab(run: &Path, name: &str, state: &str) -> PathBuf {
    let lab = run.join(name);
    make_dir(&lab, 0o700);
    write(&lab.join("lock"), LAB_MARK, 0o600);
    write(&lab.join("state.json"), state, 0o600);
    make_dir(&lab.join("logs"), 0o755);
    lab
}

/// What a lab says about itself.
pub fn state(lab: &str, supervisor: i32, named: &[&Path]) -> String {
    serde_json::json!({
        "lab": lab, "file": "/x", "started": 1, "supervisor": supervisor, "detached": true, "named": named, "nodes": ["a"]
    })
    .to_string()
}

/// Something by which a directory is none that nslab may sweep. `run` is the directory, `aside` one for canaries beside it.
pub type Trap = (&'static str, fn(run: &Path, aside: &Path));

/// Each alone makes a run directory one that has to be refused.
pub const TRAPS: &[Trap] = &[
    ("folders of files", |run, _| {
        make_dir(&run.join("documents/deep"), 0o755);
        write(&run.join("documents/deep/thesis"), "precious", 0o644);
    }),
    ("private folders", |run, _| {
        make_dir(&run.join("private"), 0o700);
        write(&run.join("private/letter"), "precious", 0o600);
    }),
    ("hidden files", |run, _| {
        write(&run.join(".profile"), "precious", 0o644)
    }),
    ("hidden folders", |run, _| {
        make_dir(&run.join(".ssh"), 0o700);
        write(&run.join(".ssh/id"), "precious", 0o600);
    }),
    ("a file", |run, _| write(&run.join("notes"), "precious", 0o644)),
    ("an empty folder", |run, _| make_dir(&run.join("empty"), 0o755)),
    ("a name that is no text", |run, _| {
        make_dir(&run.join(std::ffi::OsStr::from_bytes(b"caf\xe9")), 0o700);
    }),
    ("another user's directory", |run, _| give_away(run)),
    ("everybody may write", |run, _| {
        fs::set_permissions(run, Permissions::from_mode(0o777)).unwrap();
    }),
    ("everybody may write, as in /tmp", |run, _| {
        fs::set_permissions(run, Permissions::from_mode(0o1777)).unwrap();
    }),
    ("a group may write", |run, _| {
        fs::set_permissions(run, Permissions::from_mode(0o775)).unwrap();
    }),
    ("a folder with a state but without a lock", |run, aside| {
        let lab = run.join("lab");
        make_dir(&lab, 0o755);
        write(
            &lab.join("state.json"),
            &state("lab", 1, &[&aside.join("link")]),
            0o600,
        );
    }),
    ("a lab's folder with somebody's file", |run, _| {
        let lab = dead_lab(run, "lab", "{}");
        write(&lab.join("lock"), "", 0o600);
        write(&lab.join("thesis"), "precious", 0o600);
    }),
    ("a lab's folder that others may read", |run, _| {
        fs::set_permissions(dead_lab(run, "lab", "{}"), Permissions::from_mode(0o755)).unwrap();
    }),
    ("a lab's folder of another user", |run, _| {
        give_away(&dead_lab(run, "lab", "{}"))
    }),
    ("a lab's lock of another user", |run, _| {
        give_away(&dead_lab(run, "lab", "{}").join("lock"));
    }),
    ("a lab's lock that is something else", |run, _| {
        write(&dead_lab(run, "lab", "{}").join("lock"), "something else", 0o600);
    }),
    ("a lab's lock that is a link", |run, aside| {
        let lock = dead_lab(run, "lab", "{}").join("lock");
        fs::remove_file(&lock).unwrap();
        symlink(aside.join("file"), lock).unwrap();
    }),
    ("a lab's lock that is a pipe", |run, _| {
        let lock = dead_lab(run, "lab", "{}").join("lock");
        fs::remove_file(&lock).unwrap();
        mkfifo(&lock, Mode::from_bits_truncate(0o600)).unwrap();
    }),
    ("a lab's lock that is a directory", |run, _| {
        let lock = dead_lab(run, "lab", "{}").join("lock");
        fs::remove_file(&lock).unwrap();
        make_dir(&lock, 0o700);
        write(&lock.join("thesis"), "precious", 0o600);
    }),
    ("a lab's lock with two names", |run, _| {
        let lab = dead_lab(run, "lab", "{}");
        fs::hard_link(lab.join("lock"), lab.join("lab.json")).unwrap();
    }),
    ("a link to a lab's folder", |run, aside| {
        dead_lab(aside, "lab", "{}");
        symlink(aside.join("lab"), run.join("lab")).unwrap();
    }),
    ("a link to a folder", |run, aside| {
        symlink(aside, run.join("lab")).unwrap()
    }),
    ("a device", |run, _| {
        let mode = Mode::from_bits_truncate(0o600);
        mknod(&run.join("null"), SFlag::S_IFCHR, mode, makedev(1, 3)).unwrap();
    }),
    ("a pipe", |run, _| {
        mkfifo(&run.join("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    }),
    ("tests that are a link", |run, aside| {
        symlink(aside, run.join(".tests")).unwrap()
    }),
    ("a test without an owner", |run, _| {
        make_dir(&run.join(".tests/x/documents"), 0o755);
        write(&run.join(".tests/x/documents/thesis"), "precious", 0o644);
    }),
    ("a test whose owner is a link", |run, aside| {
        make_dir(&run.join(".tests/x"), 0o755);
        symlink(aside.join("file"), run.join(".tests/x/.owner")).unwrap();
    }),
    ("a test whose owner is something else", |run, _| {
        make_dir(&run.join(".tests/x"), 0o755);
        write(&run.join(".tests/x/.owner"), "something else", 0o600);
    }),
    ("a test with somebody's folder", |run, _| {
        make_dir(&run.join(".tests/x/documents"), 0o755);
        write(&run.join(".tests/x/.owner"), MARK, 0o600);
        write(&run.join(".tests/x/.lock"), MARK, 0o600);
    }),
    ("a test of another user", |run, _| {
        make_dir(&run.join(".tests/x"), 0o755);
        write(&run.join(".tests/x/.owner"), "", 0o600);
        give_away(&run.join(".tests/x"));
    }),
    ("tests in which everybody may write", |run, _| {
        make_dir(&run.join(".tests"), 0o777)
    }),
    ("a file among the tests", |run, _| {
        make_dir(&run.join(".tests"), 0o755);
        write(&run.join(".tests/thesis"), "precious", 0o644);
    }),
];

/// What the lock of the run directory itself may be, for it to be refused.
pub const LOCKS: &[Trap] = &[
    ("a lock that is a link", |run, aside| {
        symlink(aside.join("file"), run.join(".lock")).unwrap();
    }),
    ("a lock that leads nowhere", |run, aside| {
        symlink(aside.join("nothing"), run.join(".lock")).unwrap();
    }),
    ("a lock that is a pipe", |run, _| {
        mkfifo(&run.join(".lock"), Mode::from_bits_truncate(0o600)).unwrap();
    }),
    ("a lock that is a directory", |run, _| {
        make_dir(&run.join(".lock"), 0o700)
    }),
    ("a lock that is something else", |run, _| {
        write(&run.join(".lock"), "4711\n", 0o600)
    }),
    ("a huge lock", |run, _| {
        write(&run.join(".lock"), "", 0o600);
        File::options()
            .write(true)
            .open(run.join(".lock"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
    }),
    ("a lock of another user", |run, _| {
        write(&run.join(".lock"), "", 0o600);
        give_away(&run.join(".lock"));
    }),
    ("a lock that everybody may write", |run, _| {
        write(&run.join(".lock"), "", 0o666)
    }),
    ("a lock with two names", |run, aside| {
        fs::hard_link(aside.join("empty"), run.join(".lock")).unwrap();
    }),
];

/// Runs nslab for a run directory.
pub fn nslab(run_directory: &Path, words: &[&str]) -> Done {
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    command.env("NSLAB_RUN_DIR", run_directory).args(words);
    let done = run(&mut command);
    assert!(
        began.elapsed() < PROMPT,
        "nslab {words:?} took {:?}",
        began.elapsed()
    );
    done
}

/// Runs a verb that has to refuse the run directory, and leave all below `place` as it is.
#[track_caller]
pub fn refuses(run_directory: &Path, place: &Path, words: &[&str], what: &str) {
    let before = snapshot(place);
    let done = nslab(run_directory, words);
    let after = snapshot(place);
    assert_eq!(before, after, "nslab {words:?} with {what} has changed something");
    assert_eq!(
        done.code, 3,
        "nslab {words:?} with {what}: {}{}",
        done.out, done.err
    );
    assert!(done.err.contains("nslab: "), "{what}: {}", done.err);
}

/// A new place with a directory for canaries, and the run directory that is to become a hostile one.
pub fn hostile(lab: &Lab, number: usize) -> (PathBuf, PathBuf, PathBuf) {
    let place = lab.path(&format!("case-{number}"));
    let (run, aside) = (place.join("run"), place.join("aside"));
    make_dir(&run, 0o755);
    make_dir(&aside, 0o755);
    write(&aside.join("file"), "precious", 0o644);
    write(&aside.join("empty"), "", 0o600);
    symlink("/proc/1/fd/0", aside.join("link")).unwrap();
    (place, run, aside)
}

//! Writing a configuration to where it is read from, whatever stands there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::bgp::terminal::Saved;

/// Writes a configuration, with the mode and owner of what was there; that is kept beside it, as vtysh does, with `.sav`. In one
/// step where that can be: a file that is mounted there by itself, or in a directory that takes no other, is written in place.
pub fn save(text: &str, path: &Path) -> Saved {
    // What is no file of its own, such as a link or a device, stays what it is.
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return Saved {
            kept: Ok(()),
            written: overwrite(text, path).map_err(words),
        };
    }
    match replace(text, path) {
        Ok(kept) => Saved {
            kept: kept.map_err(words),
            written: Ok(()),
        },
        // There is no room, and what is there would be lost as well.
        Err(error) if is_full(&error) => Saved {
            kept: Ok(()),
            written: Err(words(error)),
        },
        Err(error) => Saved {
            kept: Err(words(error)),
            written: overwrite(text, path).map_err(words),
        },
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// What the kernel says, as C has it.
fn words(error: io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A new file takes the place of what is there. Returns whether that is kept.
fn replace(text: &str, path: &Path) -> io::Result<io::Result<()>> {
    let (new, kept) = (beside(path, ".new"), beside(path, ".sav"));
    let before = fs::metadata(path);
    let _ = fs::remove_file(&new);
    let done = write_new(text, &new, before.as_ref().ok()).and_then(|()| {
        let backup = match &before {
            Ok(_) => {
                let _ = fs::remove_file(&kept);
                fs::hard_link(path, &kept)
            }
            Err(_) => Ok(()),
        };
        fs::rename(&new, path).map(|()| backup)
    });
    if done.is_err() {
        let _ = fs::remove_file(&new);
    }
    done
}

fn write_new(text: &str, new: &Path, before: Option<&fs::Metadata>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(text.as_bytes())?;
    if let Some(before) = before {
        chown(new, Some(before.uid()), Some(before.gid()))?;
    }
    let mode = before.map_or(0o640, |before| before.mode() & 0o7777);
    fs::set_permissions(new, fs::Permissions::from_mode(mode))
}

/// What is there is written anew; where that fails in the middle, it is put back.
fn overwrite(text: &str, path: &Path) -> io::Result<()> {
    let before = fs::read(path);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).mode(0o640);
    let mut file = options.open(path)?;
    let mut put = |octets: &[u8]| -> io::Result<()> {
        io::Seek::rewind(&mut file)?;
        file.write_all(octets)?;
        file.set_len(octets.len() as u64)
    };
    let done = put(text.as_bytes());
    if let (Err(_), Ok(before)) = (&done, before) {
        let _ = put(&before);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_kept_with_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("frr.conf");
        assert_eq!(save("one\n", &path), Saved::default());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert_eq!(save("two\n", &path), Saved::default());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o604);
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(read(&path), "two\n");
        assert_eq!(read(&beside(&path, ".sav")), "one\n");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("nowhere/frr.conf");
        let saved = save("one\n", &missing);
        assert_eq!(saved.written, Err("No such file or directory".to_owned()));
        // A directory in its place.
        let saved = save("one\n", directory.path());
        assert_eq!(saved.written, Err("Is a directory".to_owned()));
    }

    #[test]
    fn what_a_link_leads_to_is_written_and_the_link_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (link, file) = (directory.path().join("frr.conf"), directory.path().join("real"));
        fs::write(&file, "a longer text\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(save("one\n", &link), Saved::default());
        assert_eq!(fs::read_to_string(&file).unwrap(), "one\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}

//! Files written for the user: they belong to whoever called sudo, and to nobody else what nslab did not make.
//!
//! A file is made under a name of its own in the directory that the user named, given away while it is open, and renamed to
//! the name it is to have when it is whole. So nothing is written through a symbolic link, and nothing is given away that was
//! there before.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::clean;
use crate::failure::Failure;
use crate::kernel::tree::{self, Directory, Kind, Owner, Trust};

/// Permissions of files that all may read, as far as the user's umask has it.
pub const OPEN: u32 = 0o666;
/// Permissions of secrets.
pub const SECRET: u32 = 0o600;

/// Who called sudo, if that is how this process became root.
pub fn user() -> Option<Owner> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    Some(Owner {
        user: number("SUDO_UID")?,
        group: number("SUDO_GID")?,
    })
}

/// Writes a file, in place of the one that is there. A symbolic link is refused; a device or a FIFO is written to.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, text: &[u8], mode: u32) -> Result<(), Failure> {
    let place = Place::of(path)?;
    match place.kind()? {
        None | Some(Kind::File) => place.fresh(text, mode),
        Some(Kind::Directory) => Err(place.refused("a directory")),
        Some(Kind::Link) if !leads_to_stream(path) => Err(place
            .refused("a symbolic link")
            .help("name the file it points to")),
        Some(_) => stream(path, text).map_err(|error| place.failed(&error)),
    }
}

/// A file for what comes bit by bit. Under its name there is what was there before, until it is settled.
pub struct Begun<'p> {
    file: Option<File>,
    /// Where it is, under which name: none for a device or a FIFO.
    place: Option<(Place<'p>, OsString)>,
}

/// Makes an empty file. A symbolic link is refused; a device or a FIFO is opened.
///
/// # Errors
/// It cannot be made.
pub fn begin(path: &Path, mode: u32) -> Result<Begun<'_>, Failure> {
    let place = Place::of(path)?;
    match place.kind()? {
        None | Some(Kind::File) => {
            let (new, file) = place.begun(b"", mode)?;
            Ok(Begun {
                file: Some(file),
                place: Some((place, new)),
            })
        }
        Some(Kind::Directory) => Err(place.refused("a directory")),
        Some(Kind::Link) if !leads_to_stream(path) => Err(place
            .refused("a symbolic link")
            .help("name the file it points to")),
        Some(_) => Ok(Begun {
            file: Some(open_stream(path).map_err(|error| place.failed(&error))?),
            place: None,
        }),
    }
}

impl Begun<'_> {
    /// Gives it its name, in place of what is there.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn settle(mut self) -> Result<File, Failure> {
        if let Some((place, new)) = &self.place {
            let renamed = place.directory.rename(new, &place.name);
            renamed.map_err(|error| place.failed(&error))?;
            self.place = None;
        }
        self.file.take().ok_or_else(|| Failure::host("the file has gone"))
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some((place, new)) = &self.place {
            let _ = place.directory.remove(new);
        }
    }
}

/// Whether a file can be written: asked before the work whose result it is to hold.
///
/// # Errors
/// As those of [`write`], as far as they can be known beforehand.
pub fn may_write(path: &Path) -> Result<(), Failure> {
    let place = Place::of(path)?;
    match place.kind()? {
        None | Some(Kind::File) => place.may_be_made(),
        Some(Kind::Directory) => Err(place.refused("a directory")),
        Some(Kind::Link) if !leads_to_stream(path) => Err(place
            .refused("a symbolic link")
            .help("name the file it points to")),
        Some(_) => Ok(()),
    }
}

/// Writes a file where there is none.
///
/// # Errors
/// Something is there, or it cannot be written.
pub fn write_new(path: &Path, text: &[u8], mode: u32) -> Result<(), Failure> {
    let place = Place::of(path)?;
    match place.kind()? {
        None => place.fresh(text, mode),
        Some(_) => Err(Failure::wrong(format!("{} is there already", clean::path(path)))
            .help("name another file, or remove that one")),
    }
}

/// Makes a directory with those it stands in, as far as they are missing. Those that are there stay as they are.
///
/// # Errors
/// One cannot be made.
pub fn make_directory(path: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::host(format!("cannot make {}: {error}", clean::path(path)));
    let absolute = std::path::absolute(path).map_err(failed)?;
    let mut missing: Vec<&OsStr> = Vec::new();
    let mut there = absolute.as_path();
    let mut directory = loop {
        match Directory::open(there, Trust::Host) {
            Ok(directory) => break directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing.extend(there.file_name());
                there = there.parent().ok_or(error).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
    };
    for name in missing.into_iter().rev() {
        directory = match directory.make_directory(name, 0o777) {
            Ok(made) => {
                give(&made).map_err(failed)?;
                made
            }
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                directory.directory(name).map_err(failed)?
            }
            Err(error) => return Err(failed(error)),
        };
    }
    Ok(())
}

fn give(file: impl std::os::fd::AsFd) -> io::Result<()> {
    user().map_or(Ok(()), |owner| tree::give(file, owner))
}

/// Whether a link leads to what has no content of its own, like `/dev/stdout` on a terminal or a pipe.
fn leads_to_stream(path: &Path) -> bool {
    // The caller's own output, whatever that is.
    if ["/dev/stdout", "/dev/stderr"]
        .iter()
        .any(|own| path == Path::new(own))
    {
        return true;
    }
    let kind = tree::look(path, Trust::Host).map(|facts| facts.kind);
    matches!(kind, Ok(Kind::Fifo | Kind::Device))
}

/// Writes to a device or a FIFO, and to no file, should there be one now.
fn stream(path: &Path, text: &[u8]) -> io::Result<()> {
    open_stream(path)?.write_all(text)
}

fn open_stream(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).open(path)?;
    let is_own = path.starts_with("/dev");
    match file.metadata()?.is_file() && !is_own {
        true => Err(io::Error::other("it was replaced meanwhile")),
        false => Ok(file),
    }
}

/// A name in a directory.
struct Place<'p> {
    path: &'p Path,
    directory: Directory,
    name: OsString,
}

impl<'p> Place<'p> {
    fn of(path: &'p Path) -> Result<Place<'p>, Failure> {
        let failed = |error: io::Error| Failure::host(format!("cannot write {}: {error}", clean::path(path)));
        let absolute: PathBuf = std::path::absolute(path).map_err(failed)?;
        let (Some(name), Some(parent)) = (absolute.file_name(), absolute.parent()) else {
            return Err(Failure::wrong(format!("{} is no file", clean::path(path))));
        };
        let directory = Directory::open(parent, Trust::Host).map_err(failed)?;
        Ok(Place {
            path,
            directory,
            name: name.to_owned(),
        })
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::host(format!("cannot write {}: {error}", clean::path(self.path)))
    }

    fn refused(&self, what: &str) -> Failure {
        Failure::wrong(format!("cannot write {}: it is {what}", clean::path(self.path)))
    }

    fn kind(&self) -> Result<Option<Kind>, Failure> {
        match self.directory.facts(&self.name) {
            Ok(facts) => Ok(Some(facts.kind)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Makes a file beside it, and removes that again.
    fn may_be_made(&self) -> Result<(), Failure> {
        let made = self
            .directory
            .make_fresh(|directory, new| directory.create(new, SECRET));
        let (new, _) = made.map_err(|error| self.failed(&error))?;
        self.directory.remove(&new).map_err(|error| self.failed(&error))
    }

    fn fresh(&self, text: &[u8], mode: u32) -> Result<(), Failure> {
        let (new, _) = self.begun(text, mode)?;
        self.directory.rename(&new, &self.name).map_err(|error| {
            let _ = self.directory.remove(&new);
            self.failed(&error)
        })
    }

    /// A file with this in it, under a name of its own.
    fn begun(&self, text: &[u8], mode: u32) -> Result<(OsString, File), Failure> {
        let (new, mut file) = self
            .directory
            .make_fresh(|directory, new| directory.create(new, mode))
            .map_err(|error| self.failed(&error))?;
        let written = file.write_all(text).and_then(|()| give(&file));
        match written {
            Ok(()) => Ok((new, file)),
            Err(error) => {
                let _ = self.directory.remove(&new);
                Err(self.failed(&error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_has_left_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..20 {
            let name = format!(".nslab-{}-{number}", std::process::id());
            std::fs::write(directory.path().join(name), "left").unwrap();
        }
        let path = directory.path().join("file");
        write(&path, b"text", OPEN).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 21);
    }
}

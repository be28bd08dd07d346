//! The side that wants something: takes what it asked for, under the name it was asked to, and nothing else.
//!
//! Files are made under a name of their own and renamed when they are whole, so that nothing is ever written through what
//! a name happens to be; so are directories with all they hold. They get neither setuid, setgid nor sticky bit.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::remarks::Remarks;
use super::stream::{About, Listener, Piece, Word, broken};
use super::{DEEPEST, MOST_FILES, SIZELESS};
use crate::kernel::tree::{self, Directory, Kind, Owner};

/// Of what is free, this part is left.
const LEFT_FREE: u64 = 16;
/// Permission bits of what is copied: those without setuid, setgid and sticky.
const PERMISSIONS: u32 = 0o777;
/// What nobody else may look at until it is whole.
const UNFINISHED_FILE: u32 = 0o600;
const UNFINISHED_DIRECTORY: u32 = 0o700;

/// A directory on the way down.
struct Level {
    directory: Directory,
    /// What to set when all is in it; nothing of one that was there before.
    made: Option<About>,
    /// The name it has until then, and the one it is to have, where they differ.
    names: Option<(OsString, OsString)>,
}

/// Takes what is sent.
pub struct Receiver<'t, R> {
    input: Listener<R>,
    owner: Option<Owner>,
    told: &'t mut Remarks,
    /// Where it is, from the name that was asked for on.
    path: PathBuf,
    files: usize,
    room: u64,
    buffer: Vec<u8>,
}

impl<'t, R: Read> Receiver<'t, R> {
    /// For files that are to belong to `owner`, or else to this user. What is noteworthy is told.
    pub fn new(input: R, owner: Option<Owner>, told: &'t mut Remarks) -> Self {
        Receiver {
            input: Listener(input),
            owner,
            told,
            path: PathBuf::new(),
            files: 0,
            room: 0,
            buffer: Vec::new(),
        }
    }

    /// Puts what was asked for into a directory under this name. What went wrong is told; an unfinished file is removed.
    pub fn receive(mut self, into: &Directory, name: &OsStr) {
        if let Err(error) = self.all(into, name) {
            self.told.failed(&self.path, &error);
        }
    }

    fn all(&mut self, into: &Directory, name: &OsStr) -> io::Result<()> {
        let free = into.free()?;
        self.room = free - free / LEFT_FREE;
        let mut levels: Vec<Level> = Vec::new();
        let done = self.descend(into, name, &mut levels);
        // What was copied before something went wrong is there, and it was told that it is not all.
        while let Some(level) = levels.pop() {
            let outer = levels.last().map_or(into, |level| &level.directory);
            let _ = self.leave(&level, outer);
        }
        done
    }

    fn descend(&mut self, into: &Directory, name: &OsStr, levels: &mut Vec<Level>) -> io::Result<()> {
        let mut word = self.input.word(true)?;
        loop {
            match word {
                Word::End if levels.is_empty() => return Ok(()),
                Word::End => return Err(broken("an end in the middle")),
                Word::Leave => {
                    let level = levels.pop().ok_or_else(|| broken("an end too many"))?;
                    let outer = levels.last().map_or(into, |level| &level.directory);
                    self.leave(&level, outer)?;
                    self.path.pop();
                }
                word => {
                    let name = levels.is_empty().then_some(name);
                    if let Some(level) = self.take(into, word, name, levels)? {
                        levels.push(level);
                    } else {
                        self.path.pop();
                    }
                }
            }
            if levels.is_empty() {
                return match self.input.word(true)? {
                    Word::End => Ok(()),
                    _ => Err(broken("more than was asked for")),
                };
            }
            word = self.input.word(false)?;
        }
    }

    /// Takes one thing into the innermost directory, under a name of ours or its own. Returns the directory it is, if it is one.
    fn take(
        &mut self,
        into: &Directory,
        word: Word,
        ours: Option<&OsStr>,
        levels: &[Level],
    ) -> io::Result<Option<Level>> {
        let directory = levels.last().map_or(into, |level| &level.directory);
        self.files += 1;
        if self.files > MOST_FILES {
            return Err(io::Error::other(format!("more than {MOST_FILES} files")));
        }
        let mut enter = |name: OsString| -> OsString {
            let name = ours.map_or(name, OsStr::to_owned);
            self.path.push(&name);
            name
        };
        match word {
            Word::Directory(name, about) => {
                let name = enter(name);
                if levels.len() >= DEEPEST {
                    return Err(io::Error::other(format!("more than {DEEPEST} directories deep")));
                }
                let is_inside = levels.last().is_some_and(|level| level.made.is_some());
                enter_directory(directory, &name, about, is_inside).map(Some)
            }
            Word::File(name, about) => {
                let name = enter(name);
                self.file(directory, &name, about)?;
                Ok(None)
            }
            Word::Link(name, target) => {
                let name = enter(name);
                self.replaceable(directory, &name)?;
                let (new, ()) =
                    directory.make_fresh(|directory, new| directory.make_link(new, &target, self.owner))?;
                finish(directory, &new, &name)?;
                Ok(None)
            }
            Word::Skipped(name, kind) => {
                enter(name);
                match ours {
                    Some(_) => self.told.refused(kind),
                    None => self.told.skipped(&self.path, kind),
                }
                Ok(None)
            }
            Word::Failed(name, errno) => {
                enter(name);
                self.told.unread(&self.path, errno);
                Ok(None)
            }
            Word::Leave | Word::End => Ok(None),
        }
    }

    fn leave(&self, level: &Level, outer: &Directory) -> io::Result<()> {
        let Some(about) = &level.made else { return Ok(()) };
        self.settle(&level.directory, about)?;
        match &level.names {
            Some((new, name)) => outer.rename(new, name),
            None => Ok(()),
        }
    }

    /// Owner, permissions and time, in this order: a new owner takes bits away.
    fn settle(&self, file: impl std::os::fd::AsFd, about: &About) -> io::Result<()> {
        if let Some(owner) = self.owner {
            tree::give(&file, owner)?;
        }
        tree::set_mode(&file, about.mode & PERMISSIONS)?;
        // A time that this file system cannot have is not worth the file.
        let _ = tree::set_modified(&file, about.modified);
        Ok(())
    }

    fn file(&mut self, directory: &Directory, name: &OsStr, about: About) -> io::Result<()> {
        self.replaceable(directory, name)?;
        if about.size > self.room {
            return Err(io::Error::other(format!(
                "{} bytes do not fit: {} may be taken",
                about.size, self.room
            )));
        }
        let (new, file) = directory.make_fresh(|directory, new| directory.create(new, UNFINISHED_FILE))?;
        let filled = self.fill(&file, &about);
        match filled.and_then(|whole| self.settle(&file, &about).map(|()| whole)) {
            Ok(true) => finish(directory, &new, name),
            Ok(false) => directory.remove(&new),
            Err(error) => {
                // What went wrong first is what is told.
                let _ = directory.remove(&new);
                Err(error)
            }
        }
    }

    /// Takes the pieces of a file. Returns whether it is whole.
    fn fill(&mut self, file: &File, about: &About) -> io::Result<bool> {
        let most = match about.size {
            0 => SIZELESS.min(self.room),
            size => size,
        };
        let mut end = 0;
        loop {
            let piece = self.input.piece(&mut self.buffer)?;
            match piece {
                Piece::Data(place) => {
                    let after = place.saturating_add(self.buffer.len() as u64);
                    if place < end {
                        return Err(broken("a piece in the wrong place"));
                    }
                    if after > most {
                        return Err(io::Error::other(match about.size {
                            0 => format!("more than {most} bytes come from a file that has no size"),
                            _ => "more data than the file has".to_owned(),
                        }));
                    }
                    file.write_all_at(&self.buffer, place)?;
                    end = after;
                }
                Piece::Last(length, 0) => {
                    if length < end || length > most {
                        return Err(broken("a file of another length"));
                    }
                    if length > end {
                        file.set_len(length)?;
                    }
                    self.room = self.room.saturating_sub(length);
                    return Ok(true);
                }
                Piece::Last(_, errno) => {
                    self.told.unread(&self.path, errno);
                    return Ok(false);
                }
            }
        }
    }

    /// Files and links make room for what is copied; devices and directories do not.
    fn replaceable(&self, directory: &Directory, name: &OsStr) -> io::Result<()> {
        match directory.facts(name).map(|facts| facts.kind) {
            Ok(Kind::File | Kind::Link) => Ok(()),
            Ok(kind) => {
                let named = kind.words();
                Err(io::Error::other(format!("{named} is there, and stays")))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Enters the directory of this name, which is made where there is none. Inside one that is itself being made it has its name
/// from the start.
fn enter_directory(outer: &Directory, name: &OsStr, about: About, is_inside: bool) -> io::Result<Level> {
    match outer.facts(name).map(|facts| facts.kind) {
        Ok(Kind::Directory) => Ok(Level {
            directory: outer.directory(name)?,
            made: None,
            names: None,
        }),
        Ok(kind) => {
            let named = kind.words();
            Err(io::Error::other(format!(
                "{named} is there, where a directory is to be; remove it first"
            )))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) if is_inside => Ok(Level {
            directory: outer.make_directory(name, UNFINISHED_DIRECTORY)?,
            made: Some(about),
            names: None,
        }),
        Err(_) => {
            let (new, directory) =
                outer.make_fresh(|outer, new| outer.make_directory(new, UNFINISHED_DIRECTORY))?;
            Ok(Level {
                directory,
                made: Some(about),
                names: Some((new, name.to_owned())),
            })
        }
    }
}

fn finish(directory: &Directory, new: &OsStr, name: &OsStr) -> io::Result<()> {
    directory.rename(new, name).inspect_err(|_| {
        let _ = directory.remove(new);
    })
}

/// The directory that a copy goes into, and its name there.
pub struct Destination {
    /// The directory.
    pub directory: Directory,
    /// The name.
    pub name: OsString,
    /// The directory as the user would write it.
    pub shown: String,
}

impl Destination {
    /// What a target means: a directory gets what is copied inside, under the name it has; anything else is its new name.
    ///
    /// # Errors
    /// A sentence for the user; `shown` says a path as the user would write it.
    pub fn of(
        target: &Path,
        source_name: &OsStr,
        trust: tree::Trust,
        shown: impl Fn(&Path) -> String,
    ) -> Result<Destination, String> {
        // On the host a link may be what an earlier copy brought, and the user may not know.
        let link = trust == tree::Trust::Host && target.symlink_metadata().is_ok_and(|it| it.is_symlink());
        if link {
            let path = shown(target);
            return Err(format!(
                "{path} is a symbolic link; write `{path}/` for the directory it points to, or remove it"
            ));
        }
        if let Ok(directory) = Directory::open(target, trust) {
            return Ok(Destination {
                directory,
                name: source_name.to_owned(),
                shown: shown(target),
            });
        }
        let absolute = std::path::absolute(target).map_err(|error| error.to_string())?;
        let name = absolute.file_name().ok_or("the target has no name")?;
        let parent = absolute.parent().unwrap_or(Path::new("/"));
        let directory = Directory::open(parent, trust).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                format!("there is no directory {}", shown(parent))
            }
            _ => format!("{}: {error}", shown(parent)),
        })?;
        Ok(Destination {
            directory,
            name: name.to_owned(),
            shown: shown(parent),
        })
    }
}

//! Files that images are passed on in: image layouts as directories and as tar files, what `docker save` writes, and roots.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Attempt as _, Error, Kind, Result};
use crate::layer::archive::{Archive, Kind as EntryKind};
use crate::layer::{MOST_NAMES, compression};
use crate::manifest::LONGEST;

/// A file that images are passed on in may not have more members.
const MOST_MEMBERS: usize = 100_000;
/// So many links are followed from one member to another.
const MOST_LINKS: u32 = 8;

/// What has members by name.
pub(super) enum Members {
    /// A directory.
    Directory(PathBuf),
    /// A tar file, uncompressed.
    Tar(File, BTreeMap<String, Member>),
}

/// A member of a tar file.
pub(super) enum Member {
    /// From where on, how long.
    Data(u64, u64),
    /// It is another one.
    Link(String),
}

impl Members {
    /// Reads which members a tar file has. What is compressed is decompressed into `work` first, `most` bytes of it.
    pub(super) fn of_tar(path: &Path, work: &Path, most: u64) -> Result<Members> {
        let path = plain(path, work, most)?;
        let file = File::open(&path).at("open", &path)?;
        let broken =
            |error: io::Error| Error::wrong(format!("{} is not a tar file: {error}", path.display()));
        let mut archive = Archive::new(Seeking {
            inner: BufReader::new(&file),
            at: 0,
        });
        let (mut members, mut names) = (BTreeMap::new(), 0);
        while let Some(entry) = archive.next().map_err(broken)? {
            let Some(name) = std::str::from_utf8(&entry.name).ok().and_then(cleaned) else {
                continue;
            };
            let link = String::from_utf8_lossy(&entry.link).into_owned();
            let member = match entry.kind {
                // Nobody writes sparse files there, and one may be said to be longer than what the archive has of it.
                EntryKind::File if entry.pieces.is_some() => None,
                EntryKind::File => Some(Member::Data(archive.inner().at, entry.size)),
                EntryKind::HardLink => cleaned(&link).map(Member::Link),
                EntryKind::Symlink => {
                    let directory = Path::new(&name).parent().unwrap_or(Path::new(""));
                    cleaned(&directory.join(link).to_string_lossy()).map(Member::Link)
                }
                _ => None,
            };
            names += name.len() + entry.link.len();
            members.extend(member.map(|it| (name, it)));
            if members.len() > MOST_MEMBERS || names > MOST_NAMES {
                return Err(Error::wrong(format!("{} has too many members", path.display())));
            }
            archive.jump().map_err(broken)?;
        }
        Ok(Members::Tar(file, members))
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Members::Tar(_, members) if members.is_empty())
    }

    /// Whether there is a member.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Members::Directory(path) => path.join(name).is_file(),
            Members::Tar(_, members) => members.contains_key(name),
        }
    }

    /// A member's data, and how long it is.
    pub(super) fn open(&self, name: &str) -> Result<(Box<dyn Read + '_>, u64)> {
        let missing = || missing(name);
        match self {
            Members::Directory(path) => {
                let path = path.join(name);
                match fs::metadata(&path) {
                    Ok(facts) if facts.is_file() => {}
                    _ => return Err(missing()),
                }
                let file = File::open(&path).at("open", &path)?;
                let length = file.metadata().at("look at", &path)?.len();
                Ok((Box::new(file), length))
            }
            Members::Tar(file, members) => match members.get(&self.followed(name)?) {
                Some(Member::Data(at, length)) => {
                    let mut file = file;
                    file.seek(SeekFrom::Start(*at))
                        .attempt(|| "read the archive".to_owned())?;
                    Ok((Box::new(file.take(*length)), *length))
                }
                _ => Err(missing()),
            },
        }
    }

    /// The name of the member that has the data: members may be links to others.
    pub(super) fn followed(&self, name: &str) -> Result<String> {
        let mut own = cleaned(name).ok_or_else(|| missing(name))?;
        let Members::Tar(_, members) = self else {
            return Ok(own);
        };
        for _ in 0..MOST_LINKS {
            match members.get(&own) {
                Some(Member::Link(other)) => own.clone_from(other),
                Some(Member::Data(..)) => return Ok(own),
                None => break,
            }
        }
        Err(missing(name))
    }

    /// A short member.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let (stream, length) = self.open(name)?;
        if length > LONGEST {
            return Err(Error::wrong(format!(
                "`{name}` in it is longer than {LONGEST} bytes"
            )));
        }
        let mut text = Vec::new();
        stream
            .take(LONGEST)
            .read_to_end(&mut text)
            .attempt(|| format!("read `{name}`"))?;
        Ok(text)
    }
}

fn missing(name: &str) -> Error {
    Error::new(
        Kind::Missing,
        format!("`{}` is not in it", crate::manifest::shown(name)),
    )
}

/// A reader that knows where it is, and jumps over what is not wanted.
pub(crate) struct Seeking<'f> {
    inner: BufReader<&'f File>,
    at: u64,
}

impl Read for Seeking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Archive<Seeking<'_>> {
    /// Goes on to the end of the entry's data without reading it.
    fn jump(&mut self) -> io::Result<()> {
        let count = self.forget();
        let whole = i64::try_from(count).map_err(|_| io::Error::other("an entry is too long"))?;
        let inner = self.inner_mut();
        inner.inner.seek_relative(whole)?;
        inner.at += count;
        Ok(())
    }
}

/// A member's name without `.`; none where it leads out.
fn cleaned(name: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => drop(parts.pop()?),
            Component::CurDir | Component::RootDir => {}
            Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// What shows that a file is the one it was.
pub(super) fn stamp(path: &Path) -> Result<String> {
    let facts = fs::metadata(path).at("find", path).map_err(|error| Error {
        kind: Kind::Missing,
        ..error
    })?;
    Ok(format!(
        "{}-{}.{}-{}-{}",
        facts.len(),
        facts.mtime(),
        facts.mtime_nsec(),
        facts.ctime(),
        facts.ino()
    ))
}

/// The file as it is, or what it has in it when it is compressed: `most` bytes, or else it is refused.
pub(super) fn plain(path: &Path, work: &Path, most: u64) -> Result<PathBuf> {
    let mut file = File::open(path).at("open", path)?;
    if !file.metadata().at("look at", path)?.is_file() {
        return Err(Error::wrong(format!("{} is not a file", path.display())));
    }
    let mut start = Vec::new();
    (&mut file).take(6).read_to_end(&mut start).at("read", path)?;
    file.seek(SeekFrom::Start(0)).at("read", path)?;
    let to = work.join("plain.tar");
    let result = match start.as_slice() {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => by_program("xz", path, file, &to, most),
        [b'B', b'Z', b'h', ..] => by_program("bzip2", path, file, &to, most),
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => compression::open(BufReader::new(file))
            .map_err(|error| broken(path, &error))
            .and_then(|mut stream| copy(&mut stream, path, &to, most)),
        _ => return Ok(path.to_owned()),
    };
    if result.is_err() {
        // The room may be what is needed next.
        drop(fs::remove_file(&to));
    }
    result.map(|()| to)
}

fn broken(path: &Path, error: &io::Error) -> Error {
    Error::wrong(format!("{} cannot be decompressed: {error}", path.display()))
}

/// Copies into a new file, and says which side failed. What is longer than `most` bytes is refused.
fn copy(from: &mut impl Read, source: &Path, target: &Path, most: u64) -> Result<()> {
    let mut to = File::create(target).at("write", target)?;
    let (mut buffer, mut length) = (vec![0; 128 << 10], 0);
    loop {
        let count = from.read(&mut buffer).map_err(|error| broken(source, &error))?;
        if count == 0 {
            return Ok(());
        }
        length += count as u64;
        if length > most {
            return Err(Error::wrong(format!(
                "{} has more than {most} bytes in it once it is decompressed, which is the most that is taken",
                source.display()
            )));
        }
        to.write_all(&buffer[..count]).at("write", target)?;
    }
}

/// Vendors compress roots in ways that no layer is; the programs for that are on every host.
fn by_program(program: &str, path: &Path, file: File, to: &Path, most: u64) -> Result<()> {
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            Error::io(format!("run {program}"), &error)
                .help(format!("install {program}, or decompress the file"))
        })?;
    let copied = match child.stdout.take() {
        Some(mut out) => copy(&mut out, path, to, most),
        None => Err(Error::host(format!("{program} has no output"))),
    };
    if copied.is_err() {
        drop(child.kill());
    }
    let status = child.wait().attempt(|| format!("wait for {program}"))?;
    copied?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::wrong(format!(
            "{program} cannot decompress {}",
            path.display()
        ))),
    }
}

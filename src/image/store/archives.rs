//! Files that images are passed on in: image layouts as directories and as tar files, what `docker save` writes, and roots.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
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
    /// Reads which members a tar file has. What is compressed is decompressed into `work` first.
    pub(super) fn of_tar(path: &Path, work: &Path) -> Result<Members> {
        let path = plain(path, work)?;
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
        let missing = || {
            Error::new(
                Kind::Missing,
                format!("`{}` is not in it", crate::manifest::shown(name)),
            )
        };
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
            Members::Tar(file, members) => {
                let mut name = cleaned(name).ok_or_else(missing)?;
                for _ in 0..MOST_LINKS {
                    match members.get(&name) {
                        Some(Member::Link(other)) => name.clone_from(other),
                        Some(Member::Data(at, length)) => {
                            let mut file = file;
                            file.seek(SeekFrom::Start(*at))
                                .attempt(|| "read the archive".to_owned())?;
                            return Ok((Box::new(file.take(*length)), *length));
                        }
                        None => break,
                    }
                }
                Err(missing())
            }
        }
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

/// The file as it is, or what it has in it when it is compressed.
pub(super) fn plain(path: &Path, work: &Path) -> Result<PathBuf> {
    let mut file = File::open(path).at("open", path)?;
    if !file.metadata().at("look at", path)?.is_file() {
        return Err(Error::wrong(format!("{} is not a file", path.display())));
    }
    let mut start = Vec::new();
    (&mut file).take(6).read_to_end(&mut start).at("read", path)?;
    file.seek(SeekFrom::Start(0)).at("read", path)?;
    let to = work.join("plain.tar");
    match start.as_slice() {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => by_program("xz", path, file, &to)?,
        [b'B', b'Z', b'h', ..] => by_program("bzip2", path, file, &to)?,
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let broken = |error: io::Error| {
                Error::wrong(format!("{} cannot be decompressed: {error}", path.display()))
            };
            let mut stream = compression::open(BufReader::new(file)).map_err(broken)?;
            let mut out = BufWriter::new(File::create(&to).at("write", &to)?);
            copy(&mut stream, &mut out, path, &to)?;
            out.flush().at("write", &to)?;
        }
        _ => return Ok(path.to_owned()),
    }
    Ok(to)
}

/// Copies, and says which side failed.
fn copy(from: &mut impl Read, to: &mut impl Write, source: &Path, target: &Path) -> Result<()> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = from
            .read(&mut buffer)
            .map_err(|error| Error::wrong(format!("{} cannot be decompressed: {error}", source.display())))?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).at("write", target)?;
    }
}

/// Vendors compress roots in ways that no layer is; the programs for that are on every host.
fn by_program(program: &str, path: &Path, file: File, to: &Path) -> Result<()> {
    let out = File::create(to).at("write", to)?;
    let status = Command::new(program)
        .arg("-dc")
        .stdin(file)
        .stdout(out)
        .stderr(Stdio::null())
        .status()
        .map_err(|error| {
            Error::io(format!("run {program}"), &error)
                .help(format!("install {program}, or decompress the file"))
        })?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::wrong(format!(
            "{program} cannot decompress {}",
            path.display()
        ))),
    }
}

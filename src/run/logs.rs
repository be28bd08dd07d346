//! The nodes' logs: one file a node, one line a line, `MILLISECONDS<tab>PROCESS<tab>TEXT`. A file that has
//! grown long is set aside once, so that a chatty process cannot fill the host's memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes one node's log. The file appears with its first line.
pub struct LogWriter {
    path: PathBuf,
    /// Bytes after which the file is set aside as `.1`: half of what the log may have.
    longest: Option<u64>,
    open: Option<(File, u64)>,
}

impl LogWriter {
    /// A log at this path that may have so many bytes, or any number.
    pub fn new(path: PathBuf, most: Option<u64>) -> LogWriter {
        LogWriter {
            path,
            longest: most.map(|most| most / 2),
            open: None,
        }
    }

    /// Adds lines that a process has printed just now. What is not UTF-8 in them is replaced.
    ///
    /// # Errors
    /// The file system is full.
    pub fn lines<'a>(&mut self, process: &str, lines: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
        let millis = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_millis());
        let prefix = format!("{millis}\t{process}\t");
        let mut text = Vec::new();
        for line in lines {
            let end = line
                .iter()
                .rposition(|byte| *byte != b'\r')
                .map_or(0, |last| last + 1);
            let line = String::from_utf8_lossy(&line[..end]);
            let length = prefix.len() + line.len() + 1;
            self.make_room(&mut text, length as u64)?;
            text.extend_from_slice(prefix.as_bytes());
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        self.write(&mut text)
    }

    /// Sets the file aside where what is to come would make it too long.
    fn make_room(&mut self, before: &mut Vec<u8>, length: u64) -> io::Result<()> {
        let (Some(longest), Some((_, size))) = (self.longest, &self.open) else {
            return if self.open.is_none() {
                self.write(before)
            } else {
                Ok(())
            };
        };
        if *size == 0 && before.is_empty() || size + before.len() as u64 + length <= longest {
            return Ok(());
        }
        self.write(before)?;
        self.open = None;
        std::fs::rename(&self.path, set_aside(&self.path))
    }

    fn write(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        if self.open.is_none() {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&self.path)?;
            self.open = Some((file, 0));
        }
        if let Some((file, size)) = &mut self.open {
            *size += text.len() as u64;
            file.write_all(text)?;
        }
        text.clear();
        Ok(())
    }
}

/// How much of a log is looked through for what was said last.
const RECENT: u64 = 64 << 10;

/// What a process said last of what went wrong, in the log at this path: lines that Kubernetes' programs mark as errors, or else
/// simply the last ones.
pub fn last_words(path: &Path, process: &str, count: usize) -> Vec<String> {
    let text = recent(path).unwrap_or_default();
    let own = text
        .lines()
        .filter_map(|line| parse("", line))
        .filter(|line| line.process == process);
    let own: Vec<String> = own
        .map(|line| line.text)
        .filter(|text| !text.trim().is_empty())
        .collect();
    let is_error = |text: &&String| {
        let digit = text.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        (text.starts_with(['E', 'F']) && digit) || text.to_ascii_lowercase().contains("error")
    };
    let errors: Vec<String> = own.iter().filter(is_error).cloned().collect();
    let words = if errors.is_empty() { own } else { errors };
    words[words.len().saturating_sub(count)..].to_vec()
}

/// The end of a log; where it has just been set aside, the end of the older part before it.
fn recent(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    for part in [set_aside(path), path.to_owned()] {
        let Ok(mut file) = File::open(part) else { continue };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(RECENT)))?;
        file.take(RECENT).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where the older part of a log is.
pub fn set_aside(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// The node.
    pub node: String,
    /// Milliseconds since 1970.
    pub time: u64,
    /// The process that wrote it.
    pub process: String,
    /// What it wrote.
    pub text: String,
}

/// Reads a line as [`LogWriter`] writes it.
pub fn parse(node: &str, line: &str) -> Option<Line> {
    let mut parts = line.splitn(3, '\t');
    Some(Line {
        node: node.to_owned(),
        time: parts.next()?.parse().ok()?,
        process: parts.next()?.to_owned(),
        text: parts.next()?.to_owned(),
    })
}

/// A syslog datagram (RFC 3164 as glibc's syslog(3) writes it): who wrote it, and the text.
pub fn parse_syslog(datagram: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(datagram);
    let text = text.trim_end_matches(['\n', '\0']);
    let text = match text.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((priority, rest))
            if priority.len() <= 3 && priority.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            rest
        }
        _ => text,
    };
    // "Nov 22 23:46:01 " is 16 characters, and our own time is better.
    let stamped = text.get(..16).is_some_and(|stamp| {
        let stamp = stamp.as_bytes();
        stamp[3] == b' ' && stamp[9] == b':' && stamp[12] == b':' && stamp[15] == b' '
    });
    let text = if stamped {
        text.get(16..).unwrap_or(text)
    } else {
        text
    };
    match text.split_once(": ") {
        Some((tag, message))
            if !tag.is_empty() && tag.len() <= 48 && !tag.contains(|c: char| c == ' ' || c.is_control()) =>
        {
            let process = tag.split('[').next().unwrap_or(tag);
            (process.to_owned(), message.to_owned())
        }
        _ => ("syslog".to_owned(), text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_set_aside_once_and_has_its_length() {
        const MOST: u64 = 64 << 10;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let mut writer = LogWriter::new(path.clone(), Some(MOST));
        let short: Vec<&[u8]> = vec![b"x"; 5000];
        let long = vec![b'x'; 8 << 10];
        for _ in 0..20 {
            writer.lines("p", short.iter().copied()).unwrap();
            writer.lines("p", [long.as_slice()]).unwrap();
            for path in [&path, &set_aside(&path)] {
                let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
                assert!(size <= MOST / 2, "{size}");
                let text = std::fs::read_to_string(path).unwrap_or_default();
                assert!(text.is_empty() || text.ends_with('\n'));
                assert!(text.lines().all(|line| parse("a", line).is_some()));
            }
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_log_without_a_limit_is_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let mut writer = LogWriter::new(path.clone(), None);
        let lines: Vec<&[u8]> = vec![b"line\r"; 1000];
        for _ in 0..100 {
            writer.lines("p", lines.iter().copied()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 100_000);
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("\tp\tline\n"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn lines_come_back_as_written() {
        let line = parse("a", "12\tbgpd\ta\tb").unwrap();
        assert_eq!(
            (line.time, line.process.as_str(), line.text.as_str()),
            (12, "bgpd", "a\tb")
        );
        assert_eq!(parse("a", "rubbish"), None);
    }

    #[test]
    fn syslog_datagrams_are_understood() {
        let read = |text: &str| parse_syslog(text.as_bytes());
        assert_eq!(
            read("<29>Nov 22 23:46:01 bgpd[12]: [X] up\n"),
            ("bgpd".into(), "[X] up".into())
        );
        assert_eq!(read("<13>logger: hello"), ("logger".into(), "hello".into()));
        assert_eq!(read("no tag here"), ("syslog".into(), "no tag here".into()));
        assert_eq!(parse_syslog(b"<\xff\xff>\0").0, "syslog");
    }
}

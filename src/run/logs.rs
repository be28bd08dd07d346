//! The nodes' logs: one file a node, one line a line, `MILLISECONDS<tab>PROCESS<tab>TEXT`. A file that has
//! grown long is set aside once, so that a chatty process cannot fill the host's memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes after which a log is set aside as `.1`.
const LONGEST: u64 = 4 << 20;

/// Writes one node's log. The file appears with its first line.
pub struct LogWriter {
    path: PathBuf,
    open: Option<(File, u64)>,
}

impl LogWriter {
    /// A log at this path.
    pub fn new(path: PathBuf) -> LogWriter {
        LogWriter { path, open: None }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The file system is full.
    pub fn line(&mut self, process: &str, text: &str) -> io::Result<()> {
        let millis = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_millis());
        let line = format!("{millis}\t{process}\t{text}\n");
        let (file, size) = match &mut self.open {
            Some((file, size)) if *size < LONGEST => (file, size),
            full => {
                if full.take().is_some() {
                    std::fs::rename(&self.path, set_aside(&self.path))?;
                }
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .open(&self.path)?;
                let (file, size) = full.insert((file, 0));
                (file, size)
            }
        };
        *size += line.len() as u64;
        file.write_all(line.as_bytes())
    }
}

/// How much of a log is looked through for what was said last.
const RECENT: u64 = 64 << 10;

impl LogWriter {
    /// What a process said last of what went wrong: lines that Kubernetes' programs mark as errors, or else simply the last ones.
    pub fn last_words(&self, process: &str, count: usize) -> Vec<String> {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(RECENT)))?;
            let mut bytes = Vec::new();
            file.take(RECENT).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_default();
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
        Some((tag, message)) if !tag.is_empty() && tag.len() <= 48 && !tag.contains(' ') => {
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
    fn a_long_log_is_set_aside_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let mut writer = LogWriter::new(path.clone());
        let long = "x".repeat(1 << 20);
        for _ in 0..10 {
            writer.line("p", &long).unwrap();
        }
        let size = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(size(&path) <= LONGEST + (1 << 21));
        assert!(size(&set_aside(&path)) <= LONGEST + (1 << 21));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
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

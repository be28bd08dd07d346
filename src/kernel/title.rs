//! What lists of processes show as the command line of this process (proc_pid_cmdline(5)).
#![allow(unsafe_code)]

use std::fs;

use nix::errno::Errno;

use super::error::{Attempt, Error, Result};

/// Where the kernel finds the command line: in the memory of the process, which may change it.
pub struct Title {
    start: usize,
    room: usize,
}

impl Title {
    /// Finds that of this process.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn find() -> Result<Title> {
        let what = || "find the command line of this process";
        let text = fs::read_to_string("/proc/self/stat").attempt(what)?;
        parse(&text).ok_or_else(|| Error::new(what(), Errno::ENODATA))
    }

    /// Shows these words as the command line, cut where it has no more room. To be called while no other thread reads the
    /// arguments of this process; whoever reads them later finds these.
    pub fn set(&self, words: &[&str]) {
        let mut line: Vec<u8> = words.join("\0").into_bytes();
        // The last byte is a null, by which the kernel knows that nothing follows.
        line.resize(self.room.saturating_sub(1), 0);
        // SAFETY: the kernel put the arguments of this process there, `room` bytes, and nothing else; the process may write
        // them, and nobody has a reference to them (the standard library copies them for those who ask).
        unsafe {
            std::ptr::copy_nonoverlapping(line.as_ptr(), self.start as *mut u8, line.len());
        }
    }
}

/// The fields `arg_start` and `arg_end` of proc_pid_stat(5), the 48th and 49th. The second is the command's name in parentheses,
/// which may hold anything.
fn parse(stat: &str) -> Option<Title> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(45);
    let mut next = || fields.next()?.parse::<usize>().ok();
    let (start, end) = (next()?, next()?);
    let room = end.checked_sub(start)?;
    (start > 0 && room > 0).then_some(Title { start, room })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_where_the_kernel_says() {
        let line = fs::read("/proc/self/cmdline").unwrap();
        let Title { start, room } = Title::find().unwrap();
        assert_eq!(room, line.len());
        // SAFETY: as in `Title::set`; nothing writes there meanwhile.
        let there = unsafe { std::slice::from_raw_parts(start as *const u8, room) };
        assert_eq!(there, line);
    }

    #[test]
    fn what_the_kernel_hides_is_not_taken() {
        let hidden = format!("1 (a) b) S {}", "0 ".repeat(60));
        assert!(parse(&hidden).is_none());
        assert!(parse("1 (a) S 1 2").is_none());
    }
}

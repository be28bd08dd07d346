//! Signals as something to wait for (signal-hook's self-pipe).

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::error::{Attempt, Result};

/// A socket that gets a byte with each SIGINT, SIGTERM or SIGHUP from now on; they no longer end the process.
///
/// # Errors
/// No descriptors are left.
pub fn watch() -> Result<UnixStream> {
    let (reader, writer) = UnixStream::pair().attempt(|| "make a socket pair")?;
    reader.set_nonblocking(true).attempt(|| "set up a socket")?;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let writer = writer.try_clone().attempt(|| "watch for signals")?;
        signal_hook::low_level::pipe::register(signal, writer).attempt(|| "watch for signals")?;
    }
    Ok(reader)
}

/// From now on SIGINT ends what this process runs, and not the process.
///
/// # Errors
/// The kernel refuses.
pub fn outlive_interrupts() -> Result<()> {
    // Caught and not ignored: what is ignored stays so in the programs that are run.
    let seen = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(libc::SIGINT, seen).attempt(|| "catch SIGINT")?;
    Ok(())
}

/// From now on a write beyond the limit of a file's size is an error (EFBIG), and not the end of this process.
///
/// # Errors
/// The kernel refuses.
pub fn outlive_limits_of_size() -> Result<()> {
    let seen = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(libc::SIGXFSZ, seen).attempt(|| "catch SIGXFSZ")?;
    Ok(())
}

/// The number of a signal by its name, with or without `SIG`, or by its number: `TERM`, `SIGRTMIN+3`, `15`.
pub fn number(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let above = match rest {
            "" => 0,
            rest => rest.strip_prefix('+')?.parse().ok()?,
        };
        let number = libc::SIGRTMIN().checked_add(above)?;
        return (number <= libc::SIGRTMAX()).then_some(number);
    }
    let number = match name.parse() {
        Ok(number) => number,
        Err(_) => format!("SIG{name}").parse::<nix::sys::signal::Signal>().ok()? as i32,
    };
    (1..=libc::SIGRTMAX()).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(number("SIGTERM"), Some(15));
        assert_eq!(number("QUIT"), Some(3));
        assert_eq!(number("SIGRTMIN+3"), Some(37));
        assert_eq!(number("9"), Some(9));
        for bad in ["", "SIG", "0", "65", "-1", "RTMIN+31", "RTMIN-1", "NONE"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}

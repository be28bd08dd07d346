//! `vtysh` in a router that runs nslab's own speaker, where it is a name of nslab's.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::engine::speaker::SOCKET;

/// Runs vtysh, if that is the name nslab was called by.
pub fn called(words: &[String]) -> Option<i32> {
    let name = Path::new(words.first()?).file_name()?;
    (name == "vtysh").then(|| match run() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("vtysh: the speaker does not answer: {error}");
            1
        }
    })
}

/// Carries lines from the input to the speaker, and its answers to the output.
fn run() -> io::Result<()> {
    let stream = UnixStream::connect(SOCKET)?;
    let mut sending = stream.try_clone()?;
    for line in io::stdin().lock().lines() {
        writeln!(sending, "{}", line?)?;
    }
    sending.shutdown(std::net::Shutdown::Write)?;
    for line in BufReader::new(stream).lines() {
        writeln!(io::stdout(), "{}", line?)?;
    }
    Ok(())
}

//! The process that runs the flows of a lab. It is a child of the supervisor's, begins with the first flow, and holds the lab's
//! network namespaces as descriptors.

use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;

use super::desk::Desk;
use super::topology::Topology;
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::process::raise_open_files;
use crate::kernel::spawn::inherited;

/// The hidden verb of the process.
pub const VERB: &str = "run-flows";

/// Runs it. The numbers are those of inherited descriptors: the socket to the supervisor, and a file with the [`Topology`].
pub fn main(supervisor: RawFd, topology: RawFd) -> i32 {
    match serve(supervisor, topology) {
        Ok(()) => 0,
        // The supervisor's log has the sentence.
        Err(failure) => {
            eprintln!("{failure}");
            1
        }
    }
}

fn serve(supervisor: RawFd, topology: RawFd) -> Result<(), Failure> {
    let supervisor = UnixStream::from(inherited(supervisor)?);
    let text = io::read_to_string(File::from(inherited(topology)?)).attempt(|| "read the lab's topology")?;
    let topology: Topology = serde_json::from_str(&text)
        .map_err(|error| Failure::host(format!("the lab's topology is damaged: {error}")))?;
    raise_open_files();
    Desk::new(supervisor, topology)?.serve()
}

//! The image of every pod's first container, made on the spot so that nothing is pulled: a program that waits.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use ring::digest::{SHA256, digest};
use serde_json::json;

/// How the image is called.
pub const NAME: &str = "nslab.local/pause:1";
/// The hidden verb that writes it; the file follows.
pub const VERB: &str = "pause-image";

/// `pause(2)` again and again.
#[cfg(target_arch = "x86_64")]
const CODE: [u8; 9] = [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
#[cfg(target_arch = "x86_64")]
const MACHINE: (u16, &str) = (62, "amd64");
/// `ppoll(2)` of nothing, again and again.
#[cfg(target_arch = "aarch64")]
const CODE: [u8; 28] = [
    0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2, 0x03, 0x00, 0x80, 0xd2, 0x28,
    0x09, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0xfa, 0xff, 0xff, 0x17,
];
#[cfg(target_arch = "aarch64")]
const MACHINE: (u16, &str) = (183, "arm64");

/// Where the program is loaded, and how long its headers are (elf(5)).
const BASE: u64 = 0x40_0000;
const HEADERS: u64 = 64 + 56;

/// Writes the archive, as `ctr images import` takes it. Returns the exit status.
pub fn main(path: &str) -> i32 {
    match write(Path::new(path)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("nslab: cannot write {path}: {error}");
            1
        }
    }
}

fn write(path: &Path) -> io::Result<()> {
    let layer = archive(&[("pause", &program(), 0o755)])?;
    let configuration = json!({
        "architecture": MACHINE.1, "os": "linux", "config": { "Entrypoint": ["/pause"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(digest(&SHA256, &layer).as_ref()))] },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"] }]);
    let whole = archive(&[
        ("config.json", configuration.to_string().as_bytes(), 0o644),
        ("layer.tar", &layer, 0o644),
        ("manifest.json", manifest.to_string().as_bytes(), 0o644),
    ])?;
    File::create(path)?.write_all(&whole)
}

fn archive(files: &[(&str, &[u8], u32)]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        builder.append_data(&mut header, name, *content)?;
    }
    builder.into_inner()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A static executable with one segment, and in it the code.
fn program() -> Vec<u8> {
    let size = HEADERS + CODE.len() as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut put = |bytes: &[u8]| elf.extend_from_slice(bytes);
    // ET_EXEC, the machine, EV_CURRENT.
    put(&2u16.to_le_bytes());
    put(&MACHINE.0.to_le_bytes());
    put(&1u32.to_le_bytes());
    // Entry, program headers, no section headers, no flags.
    for word in [BASE + HEADERS, 64, 0] {
        put(&word.to_le_bytes());
    }
    put(&0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        put(&half.to_le_bytes());
    }
    // PT_LOAD, to be read and executed.
    put(&1u32.to_le_bytes());
    put(&5u32.to_le_bytes());
    for word in [0, BASE, BASE, size, size, 0x1000] {
        put(&word.to_le_bytes());
    }
    put(&CODE);
    elf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_waits_until_it_is_killed() {
        use std::os::unix::fs::PermissionsExt as _;
        use std::os::unix::process::ExitStatusExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pause");
        std::fs::write(&path, program()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = std::process::Command::new(&path).spawn().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}

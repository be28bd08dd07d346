//! Images made on the spot, so that nothing is pulled: of pods' first containers, which only wait, and one that answers HTTP for
//! whoever tries a service. Their programs are in machine code, which is beside this file with what it was assembled from
//! (`as FILE.s && objcopy -O binary -j .text a.out FILE.bin`).

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

/// How the image of pods' first containers is called.
pub const NAME: &str = "nslab.local/pause:1";
/// How the one is called that answers on port 80 with the host's name.
pub const WEB: &str = "nslab.local/web:1";
/// The hidden verb that writes both; the file follows.
pub const VERB: &str = "pause-image";

#[cfg(target_arch = "x86_64")]
const CODES: [&[u8]; 2] = [
    include_bytes!("image/pause.x86_64.bin"),
    include_bytes!("image/web.x86_64.bin"),
];
#[cfg(target_arch = "aarch64")]
const CODES: [&[u8]; 2] = [
    include_bytes!("image/pause.aarch64.bin"),
    include_bytes!("image/web.aarch64.bin"),
];
/// The machine's number (elf(5)), and its name among images.
#[cfg(target_arch = "x86_64")]
const MACHINE: (u16, &str) = (62, "amd64");
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

/// An archive of images in Docker's form.
fn write(path: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    let mut manifest = Vec::new();
    for (name, code) in [NAME, WEB].into_iter().zip(CODES) {
        let layer = archive(&[("program", &program(code), 0o755)])?;
        let configuration = json!({
            "architecture": MACHINE.1, "os": "linux",
            "config": { "Entrypoint": ["/program"], "Labels": { "org.opencontainers.image.title": name } },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(digest(&SHA256, &layer).as_ref()))] },
        });
        let number = manifest.len();
        let (layer_name, configuration_name) = (format!("{number}.tar"), format!("{number}.json"));
        manifest.push(json!({ "Config": configuration_name, "RepoTags": [name], "Layers": [layer_name] }));
        files.push((configuration_name, configuration.to_string().into_bytes()));
        files.push((layer_name, layer));
    }
    files.push((
        "manifest.json".to_owned(),
        Value::from(manifest).to_string().into_bytes(),
    ));
    let files: Vec<(&str, &[u8], u32)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_slice(), 0o644))
        .collect();
    File::create(path)?.write_all(&archive(&files)?)
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
fn program(code: &[u8]) -> Vec<u8> {
    let size = HEADERS + code.len() as u64;
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
    put(code);
    elf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_program_waits_until_it_is_asked_to_end() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pause");
        std::fs::write(&path, program(CODES[0])).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = std::process::Command::new(&path).spawn().unwrap();
        // Executed once its memory is its own; asked then, it has its handlers soon.
        let exe = format!("/proc/{}/exe", child.id());
        while std::fs::read_link(&exe).unwrap() != path {}
        assert!(child.try_wait().unwrap().is_none());
        let catches = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            status.lines().any(|line| line == "SigCgt:\t0000000000004002")
        };
        while !catches() {}
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn the_code_is_what_its_text_says() {
        let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/kubelet/image");
        for (name, code) in ["pause", "web"].into_iter().zip(CODES) {
            let directory = tempfile::tempdir().unwrap();
            let path = |name: &str| directory.path().join(name);
            let source = format!("{sources}/{name}.{}.s", std::env::consts::ARCH);
            let assembled = std::process::Command::new("as")
                .arg("-o")
                .arg(path("o"))
                .arg(source)
                .status();
            if assembled.is_err() {
                eprintln!("skipped: as is not installed");
                return;
            }
            let copy = ["-O", "binary", "-j", ".text"];
            let mut copied = std::process::Command::new("objcopy");
            assert!(
                copied
                    .args(copy)
                    .arg(path("o"))
                    .arg(path("bin"))
                    .status()
                    .unwrap()
                    .success()
            );
            assert_eq!(std::fs::read(path("bin")).unwrap(), code, "{name}");
        }
    }
}

//! Links the binary statically where the C library's archive is there (glibc's development package on Debian and
//! Ubuntu has it). Finding and mapping shared libraries is a fifth of the time `nslab exec` takes, and a binary
//! that needs none runs in any node's root.
//!
//! `-C target-feature=+crt-static` would be the usual way, but without an explicit `--target` it concerns
//! procedural macros too, which cannot be static; so the flag goes to the linker of the binary alone.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    let gnu = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    let native = env::var_os("HOST") == env::var_os("TARGET");
    let already = env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|features| features.contains("crt-static"));
    let archives: Option<Vec<_>> = ["libc.a", "libm.a", "libgcc_eh.a"]
        .iter()
        .map(|name| archive(name))
        .collect();
    let Some(archives) = archives.filter(|_| gnu && native && !already) else {
        return;
    };
    // The compiler asks for shared libraries by name. These stand first in the linker's search, and lead to the
    // archives; libgcc_s exists as a shared library only, its archive has another name.
    let stand_ins = ["libc.a", "libm.a", "libgcc_s.a"].iter().zip(&archives);
    let written = stand_ins
        .map(|(name, archive)| fs::write(out.join(name), format!("INPUT({})\n", archive.display())))
        .all(|done| done.is_ok());
    if written {
        println!("cargo:rustc-link-arg-bins=-L{}", out.display());
        println!("cargo:rustc-link-arg-bins=-static-pie");
    }
}

/// Where the C compiler finds an archive.
fn archive(name: &str) -> Option<PathBuf> {
    let found = Command::new("cc")
        .arg(format!("-print-file-name={name}"))
        .output()
        .ok()?;
    let path = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    path.is_absolute().then_some(path)
}

//! Files written for the user: they belong to whoever called sudo.

use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::kernel::error::Attempt;

/// Writes a file that belongs to the user who called sudo.
///
/// # Errors
/// It cannot be written.
pub fn write_for_user(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).attempt(|| format!("write {}", path.display()))?;
    hand_over(path);
    Ok(())
}

/// Gives a file to the user who called sudo. What cannot be given stays root's, and can still be read.
fn hand_over(path: &Path) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    if let (Some(user), Some(group)) = (number("SUDO_UID"), number("SUDO_GID")) {
        let _ = std::os::unix::fs::lchown(path, Some(user), Some(group));
    }
}

/// The same for a directory with all it holds.
pub fn hand_over_all(path: &Path) {
    hand_over(path);
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => hand_over_all(&entry.path()),
            _ => hand_over(&entry.path()),
        }
    }
}

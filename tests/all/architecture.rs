//! ARCHITECTURE.md says which room may use which, and no file does otherwise. (The rooms `bgp`, `flow`, `image`, `kernel` and `lab`
//! are packages of their own, so the compiler sees to them.)

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::in_package;

/// The table of rooms: what stands in backquotes in its first and last column. Rooms that may use everything are left out.
fn map() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(in_package("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `src/"));
    let mut map = BTreeMap::new();
    for row in rows {
        let columns: Vec<_> = row.split(" | ").collect();
        assert_eq!(columns.len(), 3, "{row}");
        let may = quoted(columns[2]).collect::<BTreeSet<_>>();
        for room in quoted(columns[0]) {
            let room = room.trim_start_matches("src/").trim_end_matches(".rs").to_owned();
            if !columns[2].contains("everything") {
                map.insert(room, may.clone());
            }
        }
    }
    map
}

fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "rs"));
    files
        .chain(directories.iter().flat_map(|path| sources(path)))
        .collect()
}

/// Every `crate::ROOM::PART` of a file, without comments and without its tests.
fn uses(text: &str) -> Vec<(String, String)> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join("\n");
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|it| it.is_alphanumeric() || *it == '_')
            .collect()
    };
    code.split("crate::")
        .skip(1)
        .map(|rest| {
            let room = word(rest);
            let part = rest[room.len()..]
                .strip_prefix("::")
                .map(word)
                .unwrap_or_default();
            (room, part)
        })
        .collect()
}

#[test]
fn no_room_uses_what_the_map_forbids() {
    let (map, top) = (map(), in_package("src"));
    assert!(map.len() >= 10, "{map:?}");
    let mut wrong = Vec::new();
    for path in sources(&top) {
        let inner = path.strip_prefix(&top).unwrap();
        let first = inner.iter().next().unwrap().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        let is_test = inner.iter().any(|part| part == "tests.rs" || part == "tests");
        if [
            "lib", "main", "bgp", "flow", "image", "kernel", "lab", "timeline", "capture",
        ]
        .contains(&room)
            || is_test
        {
            continue;
        }
        let Some(may) = map.get(room) else { continue };
        for (used, part) in uses(&fs::read_to_string(&path).unwrap()) {
            // A file directly in src is in everybody's reach when the map names it so.
            if used != room && !may.contains(&used) && !may.contains(&format!("{used}::{part}")) {
                wrong.push(format!("{} uses {used}::{part}", inner.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "the map in ARCHITECTURE.md forbids:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_map_names_every_room() {
    let text = fs::read_to_string(in_package("ARCHITECTURE.md")).unwrap();
    for entry in fs::read_dir(in_package("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !["lib.rs", "main.rs"].contains(&name.as_str()) {
            assert!(
                text.contains(&format!("`src/{name}`")),
                "ARCHITECTURE.md has no row of src/{name}"
            );
        }
    }
}

#[test]
fn only_the_kernel_room_has_unsafe_code() {
    for path in sources(&in_package("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let inner = path.strip_prefix(in_package("src")).unwrap();
        let is_allowed = inner.starts_with("kernel") || !text.contains("allow(unsafe_code");
        assert!(is_allowed, "{}", inner.display());
    }
}

//! Broken lab files are refused: each error on its line, in words that say what is wrong, with a cure.
//!
//! A file in tests/broken begins with what is expected of it, a line for each error: `# line 7: part of the
//! message`.

use std::path::{Path, PathBuf};
use std::process::Command;

use nslab::lab::resolve::load;
use nslab::lab::sources::Memory;
use nslab::view::diagnostics::render;

/// An error that a file must be refused for.
#[derive(Debug)]
struct Expected {
    line: usize,
    message: String,
}

fn broken() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 100);
    files
}

fn expected(text: &str) -> Vec<Expected> {
    let comments = text.lines().map_while(|line| line.strip_prefix("# line "));
    comments
        .map(|comment| {
            let (line, message) = comment.split_once(':').unwrap();
            Expected {
                line: line.parse().unwrap(),
                message: message.trim().to_owned(),
            }
        })
        .collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// What is wrong with how a file was refused.
fn judge(file: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).unwrap();
    let sources = Memory::default().with("/tmp/there", "");
    let mut diagnostics = match load(&text, &sources) {
        Ok(_) => return Err("it was accepted".into()),
        Err(diagnostics) => diagnostics,
    };
    let rendered = render(&file.display().to_string(), &text, &diagnostics, false);
    for diagnostic in &diagnostics {
        if diagnostic.help.as_ref().is_none_or(String::is_empty) {
            return Err(format!("no cure for {:?}", diagnostic.message));
        }
    }
    for expected in expected(&text) {
        let found = diagnostics.iter().position(|diagnostic| {
            line_of(&text, diagnostic.labels[0].span.start) == expected.line
                && diagnostic.message.contains(&expected.message)
        });
        match found {
            Some(at) => drop(diagnostics.remove(at)),
            None => return Err(format!("not told: {expected:?}\n{rendered}")),
        }
    }
    match diagnostics.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "told without being expected: {diagnostics:#?}\n{rendered}"
        )),
    }
}

#[test]
fn every_error_is_told_on_its_line_with_a_cure() {
    let failures: Vec<_> = broken()
        .iter()
        .filter_map(|file| Some(format!("{}: {}", file.display(), judge(file).err()?)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn the_command_refuses_them_with_exit_code_2() {
    for file in broken() {
        let text = std::fs::read_to_string(&file).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_nslab"))
            .arg("validate")
            .arg(&file)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{}: {told}", file.display());
        assert!(
            told.contains(file.file_name().unwrap().to_str().unwrap()),
            "{told}"
        );
        // Long messages are wrapped, and continued behind a bar.
        let words = |text: &str| {
            let words = text.split_whitespace().filter(|word| *word != "│");
            words.collect::<Vec<_>>().join(" ")
        };
        let told = words(&told);
        for expected in expected(&text) {
            assert!(
                told.contains(&format!(":{}:", expected.line)),
                "{}: {told}",
                file.display()
            );
            assert!(
                told.contains(&words(&expected.message)),
                "{}: {told}",
                file.display()
            );
        }
    }
}

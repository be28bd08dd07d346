//! The lab file's schema and its reference: they say what the program reads, and the copies in the repository are current.
//! `NSLAB_UPDATE=1 cargo test --test all schema::` writes the copies anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::{in_package, run};

/// What nslab prints when it is asked for this.
#[track_caller]
fn nslab_said(words: &[&str]) -> String {
    let done = run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(words));
    assert_eq!(done.code, 0, "{}", done.err);
    done.out
}

/// A generated file is what the program prints now.
#[track_caller]
fn is_current(path: &str, words: &[&str]) {
    let (path, now) = (in_package(path), nslab_said(words));
    if std::env::var_os("NSLAB_UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &now).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "{} is not current: NSLAB_UPDATE=1 cargo test --test all schema::",
        path.display()
    );
}

#[test]
fn the_schema_beside_the_labs_is_current() {
    is_current("labs/lab.schema.json", &["schema"]);
}

#[test]
fn the_reference_is_current() {
    is_current("docs/reference/lab-file.md", &["schema", "--markdown"]);
}

/// Lab files below a directory.
fn labs_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let labs = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "toml"));
    labs.chain(directories.iter().flat_map(|path| labs_below(path)))
        .collect()
}

#[test]
fn the_schema_takes_what_the_program_takes() {
    let schema: Value = serde_json::from_str(&nslab_said(&["schema"])).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let labs = [
        labs_below(&in_package("labs")),
        labs_below(&in_package("tests/labs")),
    ]
    .concat();
    assert!(labs.len() > 60, "{}", labs.len());
    for path in labs {
        let lab: toml::Value = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let lab = serde_json::to_value(lab).unwrap();
        let diagnostics: Vec<_> = validator.iter_errors(&lab).map(|it| it.to_string()).collect();
        assert!(diagnostics.is_empty(), "{}: {diagnostics:#?}", path.display());
    }
    let unknown = serde_json::json!({ "name": "x", "nodes": { "a": { "color": "red" } } });
    assert!(!validator.is_valid(&unknown));
}

/// TOML has no null, so no key may be it.
#[test]
fn the_schema_speaks_of_toml() {
    let schema: Value = serde_json::from_str(&nslab_said(&["schema"])).unwrap();
    assert!(!schema.to_string().contains("\"null\""));
    assert!(schema["$id"].is_string());
}

/// Editors find the schema by the first line of a file.
#[test]
fn every_lab_names_its_schema() {
    for path in labs_below(&in_package("labs")) {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap();
        let named = first
            .strip_prefix("#:schema ")
            .unwrap_or_else(|| panic!("{}: {first}", path.display()));
        assert!(
            path.parent().unwrap().join(named).is_file(),
            "{}: {named}",
            path.display()
        );
    }
}

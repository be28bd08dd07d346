//! Files of a stranger, made of the broken and the good ones with something odd put into them: whatever is in a file, it is
//! read or refused in little time, in few words, and without a word for the terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nslab::cilium::manifest;
use nslab::import::{self, Input, Options};
use nslab::lab::resolve::load;
use nslab::lab::sources::Memory;
use nslab::view::diagnostics::render;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// The longest answer to any file.
const WORDS: usize = 200_000;
const TIME: Duration = Duration::from_secs(10);

fn files(directory: &str, end: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let paths = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|it| it == end))
        .collect();
    paths.sort();
    paths
}

fn texts(places: &[(&str, &str)]) -> Vec<String> {
    let paths = places.iter().flat_map(|(directory, end)| files(directory, end));
    paths.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What is put into a file.
fn oddities() -> Vec<String> {
    let fixed = [
        "\u{1b}]0;OWNED\u{7}",
        "\u{1b}]52;c;b3duZWQ=\u{7}",
        "\u{9b}2J",
        "\u{202e}",
        "\u{2066}\u{200b}\u{feff}",
        "\0",
        "\r",
        "\r\n",
        "\u{7f}",
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "[",
        "]",
        "{",
        "}",
        "[[",
        "]]",
        "#",
        "=",
        ":",
        "- ",
        "&a ",
        "*a ",
        "<<: *a\n",
        "!!",
        "|",
        ">",
        "\t",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "${X:-${X}}",
        "é",
        "漢",
        "🙂",
        "\u{e0041}",
        "-1",
        "0",
        "1e400",
        "nan",
        "inf",
        "18446744073709551616",
        "99999999999999999999h",
        "0x7fffffffffffffff",
        "1979-05-27T07:32:00Z",
        "name = \"x\"\n",
        "[nodes.a]\n",
        "[[links]]\n",
        "[[checks]]\n",
        "within = \"1e9h\"\n",
        "startup_delay = \"-1s\"\n",
        "../../../etc/shadow",
        "/dev/zero",
    ];
    let mut all: Vec<String> = fixed.into_iter().map(str::to_owned).collect();
    for unit in [
        "[",
        "{a:",
        "{a = ",
        "a.",
        "(",
        "x",
        "é",
        "\u{1b}[31m",
        "\n",
        " ",
        "- ",
        "\"a\" = 1\n",
    ] {
        all.push(unit.repeat(3_000));
        all.push(unit.repeat(70_000 / unit.len()));
    }
    all
}

/// A text with some of these in it, and some of its own taken away.
fn odd(bases: Vec<String>) -> impl Strategy<Value = String> {
    let change = (any::<Index>(), select(oddities()), any::<Index>(), 0..4u8);
    (select(bases), prop::collection::vec(change, 1..5)).prop_map(|(mut text, changes)| {
        for (at, odd, to, kind) in changes {
            let place = |index: &Index, text: &str| text.floor_char_boundary(index.index(text.len() + 1));
            let at = place(&at, &text);
            match kind {
                0 => {
                    let to = place(&to, &text);
                    text.replace_range(at.min(to)..at.max(to), &odd);
                }
                1 => text.truncate(at),
                _ => text.insert_str(at, &odd),
            }
        }
        text
    })
}

fn labs() -> Vec<String> {
    texts(&[("labs", "toml"), ("tests/broken", "toml")])
}

fn foreign() -> Vec<String> {
    texts(&[("tests/import/broken", "yaml"), ("tests/import/taken", "yaml")])
}

fn judge(rendered: &str, began: Instant) {
    assert!(rendered.len() < WORDS, "{} bytes", rendered.len());
    assert!(began.elapsed() < TIME, "{:?}", began.elapsed());
    let shown = |it: char| {
        it == '\n'
            || !(it.is_control()
                || matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'))
    };
    assert!(rendered.chars().all(shown), "{rendered:?}");
}

fn judge_lab(text: &str) {
    let began = Instant::now();
    let diagnostics = load(text, &Memory::default()).err().unwrap_or_default();
    judge(&render("odd\u{1b}[2J.toml", text, &diagnostics, false), began);
}

fn judge_foreign(text: &str) {
    let began = Instant::now();
    let input = Input {
        name: "odd.yaml".into(),
        text: text.into(),
        form: None,
        variables: None,
    };
    let sources = Memory::default();
    let imported = import::read(vec![input], &sources, &Options::default());
    let diagnostics = imported.lab(&sources).err().unwrap_or_default();
    for (file, diagnostics) in imported.files.sorted(diagnostics) {
        judge(&render(&file.name, &file.text, &diagnostics, false), began);
    }
    let read = manifest::read([("odd.yaml".to_owned(), text.to_owned())]);
    for (file, diagnostics) in read.files.sorted(read.diagnostics) {
        judge(&render(&file.name, &file.text, &diagnostics, false), began);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn odd_labs_are_read_or_refused(text in odd(labs())) {
        judge_lab(&text);
    }

    #[test]
    fn odd_files_of_other_tools_are_read_or_refused(text in odd(foreign())) {
        judge_foreign(&text);
    }
}

#[test]
fn the_command_reads_or_refuses_odd_files() {
    let place = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    command.arg("validate").current_dir(place.path());
    for number in 0..200 {
        let name = format!("odd-{number}.toml");
        let text = odd(labs()).new_tree(&mut runner).unwrap().current();
        fs::write(place.path().join(&name), text).unwrap();
        command.arg(name);
    }
    let done = command.output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(matches!(done.status.code(), Some(0 | 2)), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    assert!(!told.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{told}");
    // One by one, for those that are a file of another tool.
    for (number, text) in foreign().into_iter().take(20).enumerate() {
        let text = odd(vec![text]).new_tree(&mut runner).unwrap().current();
        let path = place.path().join(format!("odd-{number}.yaml"));
        fs::write(&path, text).unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_nslab"))
            .arg("validate")
            .arg(path)
            .output()
            .unwrap();
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(matches!(done.status.code(), Some(0 | 2)), "{told}");
        assert!(!told.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{told}");
    }
}

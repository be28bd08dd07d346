use super::files::Places;
use super::*;
use crate::lab::Diagnostic;

fn read(text: &str) -> Result<Vec<Yaml>, Vec<Diagnostic>> {
    documents(text, &Places::of(text))
}

fn one(text: &str) -> Yaml {
    read(text).unwrap().remove(0)
}

#[test]
fn places_are_bytes_even_after_other_alphabets() {
    let text = "# 拓扑\nname: \"实验\" # 名字\nnext: [a, 'b c']\n";
    let yaml = one(text);
    let name = yaml.get("name").unwrap();
    assert_eq!(&text[name.span.clone()], "\"实验\"");
    assert_eq!(name.scalar(), Some("实验"));
    let items = yaml.get("next").unwrap().items().unwrap();
    assert_eq!(&text[items[1].span.clone()], "'b c'");
    let text = "a: 'it''s' # x\nb: \"q\\\"\" # y\nc: '' # '\n";
    let yaml = one(text);
    let written = |key: &str| &text[yaml.get(key).unwrap().span.clone()];
    assert_eq!(
        [written("a"), written("b"), written("c")],
        ["'it''s'", "\"q\\\"\"", "''"]
    );
}

#[test]
fn merges_keep_what_stands_there_already() {
    let text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: [*a, *b]\n  x: 0\n";
    let yaml = one(text);
    let c = yaml.get("c").unwrap();
    let value = |key| c.get(key).and_then(Yaml::scalar);
    assert_eq!(
        (value("x"), value("y"), value("z")),
        (Some("0"), Some("2"), Some("4"))
    );
}

#[test]
fn nothing_is_told_at_the_key() {
    let text = "kinds:\nname: x\n";
    let yaml = one(text);
    assert_eq!(yaml.get("kinds").unwrap().value, Value::Null);
    assert_eq!(&text[yaml.get("kinds").unwrap().span.clone()], "kinds");
}

#[test]
fn several_documents_and_empty_ones() {
    assert_eq!(read("---\n---\na: 1\n---\nb: 2\n...\n").unwrap().len(), 2);
    assert_eq!(read("").unwrap().len(), 0);
}

#[test]
fn what_is_no_yaml_is_told_once_where_it_is() {
    for (text, line) in [
        ("a: [1, 2\nb: 3\n", 2),
        ("a: 1\na: 2\n", 2),
        ("a: \"x\n", 2),
        ("a: *b\n", 1),
        ("a:\n\t- b\n", 2),
        ("<<: 1\n", 1),
        ("? [a]\n: b\n", 1),
        ("a: &a [*a]\n", 1),
    ] {
        let diagnostics = read(text).unwrap_err();
        assert_eq!(diagnostics.len(), 1, "{text:?}: {diagnostics:?}");
        assert!(diagnostics[0].help.is_some());
        let at = diagnostics[0].labels[0].span.start.min(text.len());
        let found = text[..at].matches('\n').count() + 1;
        assert!(found.abs_diff(line) <= 1, "{text:?}: line {found}");
    }
}

#[test]
fn bombs_are_refused_in_bounded_time() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..40 {
        let item = format!("*a{}", level - 1);
        let items = vec![item; 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let diagnostics = read(&text).unwrap_err();
    assert!(diagnostics[0].message.contains("aliases written out"));
    let deep = "[".repeat(100);
    assert!(read(&deep).unwrap_err()[0].message.contains("nested"));
    // The parser has a limit of its own.
    assert!(read(&"[".repeat(1_000_000)).is_err());
    let long = "x".repeat(LONGEST + 1);
    assert!(read(&long).unwrap_err()[0].message.contains("longer"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[-a-c:\\[\\]{}&*!|>'\"%@`<#, \\n\\t?~é]{0,80}") {
        if let Err(diagnostics) = read(&text) {
            for diagnostic in diagnostics {
                proptest::prop_assert!(diagnostic.help.is_some());
            }
        }
    }
}

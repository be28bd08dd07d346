use super::*;
use crate::yaml;

fn rendered(text: &str, variables: &str) -> Result<String, String> {
    let places = yaml::files::Places::new(variables, 0, Vec::new());
    let documents = yaml::documents(variables, &places).unwrap();
    render(text, documents.first()).map_err(|fault| fault.message)
}

#[test]
fn templates_come_to_what_go_makes_of_them() {
    let variables = "leaves: { num: 2, type: ixrd3 }\nnames: [a, b]\nflag: true\nzero: 0\nport: 1.5\n";
    for (text, meant) in [
        ("plain", "plain"),
        ("a {{ .leaves.num }} b", "a 2 b"),
        ("{{ index . \"leaves\" \"type\" }}", "ixrd3"),
        ("{{ index .names 1 }}", "b"),
        (
            "x\n{{- range $i := until (index . \"leaves\" \"num\") }}\n leaf{{ add1 $i }}: {{ $.leaves.type }}\n{{- end }}\ny",
            "x\n leaf1: ixrd3\n leaf2: ixrd3\ny",
        ),
        (
            "{{ range $i, $n := .names }}{{ $i }}={{ $n }} {{ end }}",
            "0=a 1=b ",
        ),
        ("{{ range .names }}{{ . }}{{ end }}", "ab"),
        (
            "{{ range $k, $v := .leaves }}{{ $k }}:{{ $v }} {{ end }}",
            "num:2 type:ixrd3 ",
        ),
        ("{{ range .nothing }}x{{ else }}none{{ end }}", "none"),
        ("{{ if .flag }}yes{{ else }}no{{ end }}", "yes"),
        (
            "{{ if .zero }}a{{ else if eq .leaves.num 2 }}b{{ else }}c{{ end }}",
            "b",
        ),
        ("{{ if and .flag (gt .leaves.num 1) }}x{{ end }}", "x"),
        ("{{ with .leaves }}{{ .type }}{{ end }}", "ixrd3"),
        ("{{ $x := 1 }}{{ $x = add $x 2 }}{{ $x }}", "3"),
        ("{{ .missing | default \"d\" }}", "d"),
        ("{{ printf \"%s-%02d-%x\" \"a\" 7 255 }}", "a-07-ff"),
        ("{{ \"a\" | upper | printf \"%s%s\" \"x\" }}", "xA"),
        ("{{ mul 2 (sub 7 4) }} {{ math.Add 1 2 }} {{ mod 7 4 }}", "6 3 3"),
        ("{{ range seq 1 3 }}{{ . }}{{ end }}", "123"),
        ("{{/* a comment */}}x", "x"),
        ("{{ \"}}\" }} {{ `a\"b` }}", "}} a\"b"),
        ("{{ (index .names 0) }} {{ len .names }}", "a 2"),
        ("{{ join .names \", \" }}", "a, b"),
        ("{{ quote \"a\" }}", "\"a\""),
    ] {
        assert_eq!(rendered(text, variables).as_deref(), Ok(meant), "{text}");
    }
}

#[test]
fn what_cannot_be_rendered_is_said() {
    for (text, said) in [
        ("{{ .missing }}", "nothing stands here"),
        ("{{ x", "not closed"),
        ("{{ end }}", "ends nothing"),
        ("{{ if .a }}", "has no `end`"),
        ("{{ if .a }}{{ else }}", "has no `end`"),
        ("{{ nosuch 1 }}", "no function `nosuch`"),
        ("{{ $x }}", "no variable `$x`"),
        ("{{ (1 }}", "parenthesis"),
        ("{{ 1 2 }}", "only a function"),
        ("{{ \"a }}", "not closed"),
        ("{{ | upper }}", "missing"),
        ("{{ range \"text\" }}{{ end }}", "goes over"),
        ("{{ template \"x\" }}", "not supported"),
        ("{{ div 1 0 }}", "cannot be worked out"),
        ("{{ until 100000000 }}", "longer than"),
        (
            "{{ range until 90000 }}{{ range until 90000 }}{{ end }}{{ end }}",
            "steps",
        ),
        ("{{ printf \"%d\" \"x\" }}", "whole number"),
        ("{{ printf \"%s\" }}", "fewer words"),
    ] {
        let reason = rendered(text, "{}").unwrap_err();
        assert!(reason.contains(said), "{text}: {reason}");
    }
    let deep = "{{ if 1 }}".repeat(100_000);
    assert!(rendered(&deep, "{}").is_err());
    let deep = format!("{{{{ {} }}}}", "(".repeat(100_000));
    assert!(rendered(&deep, "{}").is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\{\\{|\\}\\}|-| |range|if|end|else|\\$x|:=|\\.a|index|\"|\\(|\\)|\\||1|é)*") {
        let _ = rendered(&text, "a: 1");
    }
}

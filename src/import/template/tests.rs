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
        (
            "{{ print \"leaf\" 1 }} {{ print 1 2 }} {{ print 1 \"a\" 2 }}",
            "leaf1 1 2 1a2",
        ),
        (
            "{{ range seq 3 1 }}{{ . }}{{ end }} {{ range seq 1 6 2 }}{{ . }}{{ end }} {{ range seq 1 3 1 }}{{ . }}{{ end }}",
            "321 135 123",
        ),
        ("{{ range untilStep 1 3 1 }}{{ . }}{{ end }}", "12"),
        ("{{ div 7 2 }} {{ div 8 2 }} {{ add 1.5 1 }}", "3.5 4 2.5"),
        (
            "{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}",
            "21",
        ),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ with $y := .leaves }}{{ $y.num }}{{ .num }}{{ end }}", "22"),
        ("{{ if $y := .zero }}a{{ else }}b{{ $y }}{{ end }}", "b0"),
        ("{{ subtract 5 2 }}", "3"),
        ("{{ ToJSON .leaves }}", "{\"num\":2,\"type\":\"ixrd3\"}"),
        ("{{ ToJSONPretty .names \"\" \" \" }}", "[\n \"a\",\n \"b\"\n]"),
        ("{{/* don't \" */}}x{{- /* ` */ -}} y", "xy"),
        ("a\r\n{{-\r\n1 -}}\r\nb", "a1b"),
        (
            "{{ printf \"%f %.2f %6.1f\" 1.5 2 3.25 }}",
            "1.500000 2.00    3.2",
        ),
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
    let doubled = |call: &str| {
        format!(
            "{{{{ $x := \"ab\" }}}}{}",
            format!("{{{{ $x = {call} }}}}").repeat(60)
        )
    };
    for text in [
        format!("{{{{ $x := 1 }}}}{}", "{{ $x = list $x }}".repeat(60_000)),
        format!("{{{{ $x := 1 }}}}{}", "{{ $x = dict \"a\" $x }}".repeat(60_000)),
        doubled("list $x $x"),
        doubled("print $x $x"),
        doubled("println $x $x"),
        doubled("printf \"%s%s\" $x $x"),
        doubled("replace \"\" $x $x"),
        doubled("join (list $x $x) $x"),
        doubled("quote (quote $x)"),
        doubled("toString (list $x $x)"),
        doubled("upper (print $x $x)"),
        doubled("ToJSON (list $x $x)"),
        doubled("ToJSONPretty (list $x $x) $x $x"),
        "{{ range until 90000 }}{{ $x := until 100000 }}{{ end }}".to_owned(),
        "{{ range until 90000 }}{{ $x := split \"\" (printf \"%1000d\" 1) }}{{ end }}".to_owned(),
        (0..2000).map(|at| format!("{{{{ $x{at} := 1 }}}}")).collect(),
    ] {
        let reason = rendered(&text, "{}").unwrap_err();
        let said = ["longer than", "larger than", "deep in each other", "more than"];
        assert!(said.iter().any(|it| reason.contains(it)), "{reason}");
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

//! jq expressions, by the jaq library: compiled when a lab file is read, so that a wrong one is told with its place,
//! and run on a command's output.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};

/// How many values an expression may give before it is stopped.
const MOST: usize = 10_000;

type Filter = jaq_core::compile::Filter<jaq_core::Native<data::JustLut<Val>>>;

/// Whether an expression can be used.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check(expression: &str) -> Result<(), String> {
    compile(expression).map(drop)
}

fn compile(expression: &str) -> Result<Filter, String> {
    let program = File {
        code: expression,
        path: (),
    };
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let modules = Loader::new(definitions)
        .load(&arena, program)
        .map_err(|errors| syntax(&errors))?;
    Compiler::default()
        .with_funs(functions)
        .compile(modules)
        .map_err(|errors| {
            let unknown = errors.iter().flat_map(|(_, errors)| errors);
            let names: Vec<String> = unknown.map(|(name, _)| format!("`{name}`")).collect();
            format!("it does not know {}", names.join(", "))
        })
}

fn syntax<P>(errors: &jaq_core::load::Errors<&str, P>) -> String {
    use jaq_core::load::Error;
    let found = errors.iter().find_map(|(_, error)| match error {
        Error::Lex(found) => found.first().map(|(_, rest)| *rest),
        Error::Parse(found) => found.first().map(|(_, rest)| *rest),
        Error::Io(_) => None,
    });
    match found.map(str::trim) {
        None | Some("") => "it ends too early".to_owned(),
        Some(rest) => format!(
            "it is wrong from `{}` on",
            rest.chars().take(20).collect::<String>()
        ),
    }
}

/// Runs an expression on JSON text. Several values become a list of them, none becomes null.
///
/// # Errors
/// The text is not JSON, or the expression fails on it; in words.
pub fn run(expression: &str, json: &str) -> Result<serde_json::Value, String> {
    let filter = compile(expression)?;
    let input =
        read::parse_single(json.as_bytes()).map_err(|error| format!("the output is not JSON: {error}"))?;
    let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
    let mut values = Vec::new();
    for value in filter.id.run((context, input)).map(unwrap_valr).take(MOST) {
        let value = value.map_err(|error| format!("jq: {error}"))?;
        values.push(serde_json::from_str(&value.to_string()).map_err(|_| format!("jq gave {value}"))?);
    }
    Ok(match values.len() {
        0 => serde_json::Value::Null,
        1 => values.remove(0),
        _ => serde_json::Value::Array(values),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_are_run() {
        let text = r#"{"routes": {"10.0.0.0/8": [{"valid": true}], "b": []}, "n": 3}"#;
        assert_eq!(run(".routes | length", text), Ok(json!(2)));
        assert_eq!(run(".routes[\"10.0.0.0/8\"][0].valid", text), Ok(json!(true)));
        assert_eq!(
            run("[.routes | keys[] | test(\"^1\")]", text),
            Ok(json!([true, false]))
        );
        assert_eq!(run("empty", text), Ok(json!(null)));
        assert_eq!(run(".n, .n", text), Ok(json!([3, 3])));
    }

    #[test]
    fn wrong_ones_are_told() {
        for wrong in [".routes |", "][", "nosuch(1)", ".a | frob", "\"open"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(run(".", "% Unknown command").is_err());
        assert!(run(".a.b", "{\"a\": 1}").is_err());
    }
}

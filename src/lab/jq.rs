//! jq expressions, by the jaq library: compiled when a lab file is read, so that a wrong one is told with its place,
//! and run on a command's output.
//!
//! Compiling has a bound: the text is short, and the stack is as large as the longest of them can need. Running has
//! none, as expressions may recurse and count: [`run`] is for a process that can be ended from outside.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};

/// How many values an expression may give before it is stopped.
const MOST: usize = 10_000;
/// Bytes an expression may have.
const LONGEST: usize = 4096;
/// Stack for reading an expression: a byte of it costs a few calls at most.
const STACK: usize = 32 * 1024 * LONGEST;
/// How deep arrays and objects may be nested in JSON, going in and coming out.
const DEEPEST: usize = 128;
/// What jq has for a program of its own and a check has no use for: these end the process, or reach beyond the one value
/// that a check is about.
const REFUSED: [&str; 12] = [
    "halt",
    "halt_error",
    "input",
    "inputs",
    "input_filename",
    "input_line_number",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "env",
    "$ENV",
];

type Filter = jaq_core::compile::Filter<jaq_core::Native<data::JustLut<Val>>>;

/// Whether an expression can be used.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check(expression: &str) -> Result<(), String> {
    if expression.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    // The library goes down by calling itself, and a thread that is spawned has a small stack.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, || compile(expression).map(drop));
        let thread = thread.map_err(|error| format!("no thread can be started for it: {error}"))?;
        thread
            .join()
            .unwrap_or_else(|_| Err("it cannot be read".to_owned()))
    })
}

fn compile(expression: &str) -> Result<Filter, String> {
    let program = File {
        code: expression,
        path: (),
    };
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let definitions = definitions.filter(|definition| !REFUSED.contains(&definition.name));
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let functions = functions.filter(|(name, ..)| !REFUSED.contains(name));
    let arena = Arena::default();
    let modules = Loader::new(definitions)
        .load(&arena, program)
        .map_err(|errors| syntax(&errors))?;
    Compiler::default()
        .with_funs(functions)
        .compile(modules)
        .map_err(|errors| {
            let unknown = errors.iter().flat_map(|(_, errors)| errors);
            let names: Vec<&str> = unknown.map(|(name, _)| *name).collect();
            match names.iter().find(|name| REFUSED.contains(name)) {
                Some(name) => format!(
                    "`{name}` is not for checks: an expression has what the command printed, and gives a value"
                ),
                None => format!("it does not know `{}`", names.join("`, `")),
            }
        })
}

fn syntax<P>(errors: &jaq_core::load::Errors<&str, P>) -> String {
    use jaq_core::load::Error;
    let found = errors.iter().find_map(|(_, error)| match error {
        Error::Lex(found) => found.first().map(|(_, rest)| *rest),
        Error::Parse(found) => found.first().map(|(_, rest)| *rest),
        Error::Io(_) => None,
    });
    let is_module = |(_, error): &(_, Error<&str>)| matches!(error, Error::Io(_));
    if errors.iter().any(is_module) {
        return "modules cannot be included or imported".to_owned();
    }
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
    if depth(json) > DEEPEST {
        return Err(format!("the output is nested deeper than {DEEPEST}"));
    }
    let filter = compile(expression)?;
    let input =
        read::parse_single(json.as_bytes()).map_err(|error| format!("the output is not JSON: {error}"))?;
    let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
    let mut values = Vec::new();
    for value in filter.id.run((context, input)).map(unwrap_valr).take(MOST) {
        let value = value.map_err(|error| format!("jq: {}", start(&error.to_string())))?;
        let text = value.to_string();
        values.push(serde_json::from_str(&text).map_err(|_| format!("jq gave {}", start(&text)))?);
    }
    Ok(match values.len() {
        0 => serde_json::Value::Null,
        1 => values.remove(0),
        _ => serde_json::Value::Array(values),
    })
}

/// What of a text fits into a message.
fn start(text: &str) -> String {
    const ENOUGH: usize = 200;
    match text.char_indices().nth(ENOUGH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How deep arrays and objects are nested in a JSON text. What is not JSON has some depth, too.
fn depth(json: &str) -> usize {
    let (mut now, mut most) = (0usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => now += 1,
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
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

    #[test]
    fn what_ends_or_leaves_the_process_is_refused_by_name() {
        for (expression, name) in [
            ("halt", "`halt`"),
            ("halt(3)", "`halt`"),
            ("if . then halt_error else . end", "`halt_error`"),
            ("halt_error(1)", "`halt_error`"),
            ("[inputs]", "`inputs`"),
            ("input", "`input`"),
            ("input_filename", "`input_filename`"),
            ("debug", "`debug`"),
            ("debug(\"x\")", "`debug`"),
            ("stderr", "`stderr`"),
            ("env.HOME", "`env`"),
            ("$ENV.HOME", "`$ENV`"),
            ("def f: halt; f", "`halt`"),
        ] {
            let problem = check(expression).unwrap_err();
            assert!(problem.contains(name), "{expression}: {problem}");
        }
        let problem = check("include \"x\"; .").unwrap_err();
        assert!(problem.contains("modules"), "{problem}");
        // Fields and definitions may be called so.
        for fine in [".input", "{env: .debug}", "def input: 1; input", "now > 0"] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
    }

    #[test]
    fn no_text_overflows_the_reader() {
        let units = [
            "[",
            "(",
            "{a:",
            "-",
            ".[",
            "\"\\(",
            "if ",
            "try ",
            "..",
            ".|",
            "1+",
            "def f: ",
            ". as $x|",
            ".a",
            "reduce ",
            "f(",
            "?",
            "//",
            "label $x|",
            ". as [",
            "1,",
            "]",
            "\"",
            "@json \"\\(",
            "not|not and ",
            "foreach . as {a:",
        ];
        for unit in units {
            let text = unit.repeat(LONGEST / unit.len());
            // Right or wrong: it ends.
            let _ = check(&text);
        }
        for (open, middle, close) in [
            ("[", ".", "]"),
            ("(", ".", ")"),
            ("{a:", "1", "}"),
            ("-(", "1", ")"),
        ] {
            let count = LONGEST / (open.len() + close.len()) - 1;
            let text = format!("{}{middle}{}", open.repeat(count), close.repeat(count));
            assert_eq!(check(&text), Ok(()), "{open}");
        }
        assert!(check(&".".repeat(LONGEST + 1)).unwrap_err().contains("longer"));
    }

    #[test]
    fn deep_answers_are_refused() {
        let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(run("length", &deep(DEEPEST)).is_ok());
        for json in [deep(DEEPEST + 1), deep(1 << 20), "{\"a\":".repeat(1 << 20)] {
            assert!(run("length", &json).unwrap_err().contains("nested"));
        }
        let flat = format!("\"{}\"", "[\\\"".repeat(1000));
        assert!(run(".", &flat).is_ok());
        let grown = run("reduce range(200) as $x (0; [.])", "1");
        assert!(grown.unwrap_err().contains("jq gave [[["));
    }
}

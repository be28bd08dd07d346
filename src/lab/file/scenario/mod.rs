//! `[[scenarios]]`.

use std::time::Duration;

use super::reader::{Reader, Table, Value, Wrong};
use super::{ScenarioSpec, Spanned};
use crate::scenario::{Bound, Expectations, Names};

mod cluster;
mod links;
mod nodes;
mod waits;

use crate::scenario::Step;

/// Steps that a scenario may have.
const MOST_STEPS: usize = 1000;

/// Names in a list of a scenario's.
const MOST_NAMES: usize = 16_384;

/// Reads what stands beside a step's own key.
type Read = fn(&mut Reader, &Value, &mut Table) -> Option<Step>;

/// What a scenario can do: a step's key, and who reads it.
pub(super) const STEPS: &[(&str, Read)] = &[
    ("link_down", links::down),
    ("link_up", links::up),
    ("silence", links::silence),
    ("clear", links::clear),
    ("impair", links::impair),
    ("flap", links::flap),
    ("kill", nodes::kill),
    ("restart", nodes::restart),
    ("stop", nodes::stop),
    ("continue", nodes::go_on),
    ("exec", nodes::exec),
    ("apply", cluster::apply),
    ("delete", cluster::delete),
    ("wait", waits::wait),
];

/// An entry of `[[scenarios]]`.
pub(super) fn scenario(reader: &mut Reader, value: &Value) -> Option<ScenarioSpec> {
    let line = reader.line(value.span().start);
    let mut table = reader.table(value, "scenarios", "scenario", "a scenario", value.span())?;
    let example = "a spine link is cut";
    let name = match table.get("name") {
        Some(value) => reader.parsed(value, "name", example, name_of_scenario),
        None => {
            reader.missing(&table, "name", &format!("name = \"{example}\""));
            None
        }
    };
    let flows = table
        .get("flows")
        .and_then(|value| names(reader, value, "flows", "h0-h3"));
    let steps = match table.get("steps") {
        Some(value) => steps(reader, value),
        None => {
            reader.missing(
                &table,
                "steps",
                "steps = [{ link_down = \"a:eth1\" }, { wait = \"quiet\" }]",
            );
            None
        }
    };
    let expect = table.get("expect").map(|value| expectations(reader, value));
    let capture = table
        .get("capture")
        .and_then(|value| reader.boolean(value, "capture"));
    table.finish(reader);
    Some(ScenarioSpec {
        name: name?,
        flows: flows.unwrap_or_default(),
        steps: steps?,
        expect: expect.unwrap_or_else(|| Some(Expectations::default()))?,
        capture: capture.is_some_and(|capture| capture.value),
        line,
    })
}

fn name_of_scenario(text: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() || text.chars().any(char::is_control) || text.len() > 200 {
        return Err(Wrong::new(
            "a scenario's name is one line of text, of at most 200 bytes",
            "say what happens: `name = \"a spine link is cut\"`",
        ));
    }
    Ok(text.to_owned())
}

fn steps(reader: &mut Reader, value: &Value) -> Option<Vec<Spanned<Step>>> {
    let example = "{ link_down = \"a:eth1\" }";
    let written = value.get_ref().as_array().map_or(0, |steps| steps.len());
    if written > MOST_STEPS {
        let message = format!("a scenario has at most {MOST_STEPS} steps, and this one has {written}");
        reader.wrong(value.span(), Wrong::new(message, "make several scenarios of it"));
        return None;
    }
    let steps = reader.list(value, "steps", example, step)?;
    if written == 0 {
        let help = format!("say what happens: `steps = [{example}]`");
        reader.wrong(value.span(), Wrong::new("the scenario has no steps", help));
        return None;
    }
    // One that is wrong is told already.
    (steps.len() == written).then_some(steps)
}

/// A table with the key of one step, and what belongs to that.
fn step(reader: &mut Reader, value: &Value) -> Option<Spanned<Step>> {
    let mut table = reader.table(value, "steps", "step", "a step", value.span())?;
    let given: Vec<_> = STEPS
        .iter()
        .filter_map(|(key, read)| Some((*key, *read, table.get(key)?)))
        .collect();
    let read = match given.as_slice() {
        [(_, read, own)] => read(reader, own, &mut table),
        [] if table.has_unknown() => None,
        [] => {
            let keys: Vec<_> = STEPS.iter().map(|(key, _)| format!("`{key}`")).collect();
            let help = format!("give it one of {}", keys.join(", "));
            reader.wrong(table.span(), Wrong::new("the step does nothing", help));
            return None;
        }
        [(first, ..), (second, ..), ..] => {
            let span = table.key_span(second).unwrap_or(table.span());
            let message = format!("the step does both `{first}` and `{second}`");
            reader.wrong(
                span,
                Wrong::new(message, "make two steps of it, in the order you mean"),
            );
            return None;
        }
    };
    table.finish(reader);
    Some(Spanned::new(read?, value.span()))
}

/// What must be true.
fn expectations(reader: &mut Reader, value: &Value) -> Option<Expectations> {
    let mut table = reader.table(value, "expect", "expectations", "`expect`", value.span())?;
    let outage = table.get("outage").map(|value| {
        bound(reader, value, "outage", |reader, value, key| {
            reader.duration(value, key)
        })
    });
    let lost = table.get("lost").map(|value| {
        bound(reader, value, "lost", |reader, value, key| {
            reader.integer(value, key, 0..=i64::from(u32::MAX))
        })
    });
    let healed_within = table
        .get("healed_within")
        .and_then(|value| reader.duration(value, "healed_within"));
    let routes = table
        .get("routes_as_before")
        .and_then(|value| reader.boolean(value, "routes_as_before"));
    let checks = match table.get("checks") {
        Some(value) => some_or_all(reader, value, "checks", "a reaches b")?,
        None => Names::Nothing,
    };
    table.finish(reader);
    // What is given and wrong is told; nothing goes on without it.
    Some(Expectations {
        outage: match outage {
            Some(outage) => Some(outage?),
            None => None,
        },
        lost: match lost {
            Some(lost) => Some(lost?),
            None => None,
        },
        healed_within: healed_within.map(|time| time.value),
        routes_as_before: routes.is_some_and(|routes| routes.value),
        checks,
    })
}

/// `"50ms"`, or `{ below = "50ms", flows = ["h0-h3"] }`.
fn bound<T>(
    reader: &mut Reader,
    value: &Value,
    key: &'static str,
    read: impl Fn(&mut Reader, &Value, &str) -> Option<Spanned<T>>,
) -> Option<Bound<T>> {
    if !value.get_ref().is_table() {
        let below = read(reader, value, key)?.value;
        return Some(Bound {
            below,
            flows: Names::All,
        });
    }
    let mut table = reader.table(value, key, "bound", format!("`{key}`"), value.span())?;
    let below = match table.get("below") {
        Some(value) => read(reader, value, "below"),
        None => {
            reader.missing(&table, "below", "below = …");
            None
        }
    };
    let flows = match table.get("flows") {
        Some(value) => some_or_all(reader, value, "flows", "h0-h3"),
        None => Some(Names::All),
    };
    table.finish(reader);
    Some(Bound {
        below: below?.value,
        flows: flows?,
    })
}

/// `"*"`, a name, or a list of names.
fn some_or_all(reader: &mut Reader, value: &Value, key: &'static str, example: &str) -> Option<Names> {
    let names = names(reader, value, key, example)?;
    match names.as_slice() {
        [one] if one.value == "*" => Some(Names::All),
        _ => Some(Names::These(names.into_iter().map(|name| name.value).collect())),
    }
}

/// A string, or a list of strings that is not empty.
fn names(
    reader: &mut Reader,
    value: &Value,
    key: &'static str,
    example: &str,
) -> Option<Vec<Spanned<String>>> {
    if !value.get_ref().is_array() {
        return Some(vec![reader.string(value, key, example)?]);
    }
    let written = value.get_ref().as_array().map_or(0, |names| names.len());
    if written > MOST_NAMES {
        let message = format!("`{key}` names {written}; {MOST_NAMES} are allowed");
        reader.wrong(
            value.span(),
            Wrong::new(message, "name each once, or all of them: `\"*\"`"),
        );
        return None;
    }
    let names = reader.list(value, key, &format!("\"{example}\""), |reader, value| {
        reader.string(value, key, example)
    })?;
    if names.is_empty() {
        let help = format!("name one: `{key} = \"{example}\"`");
        reader.wrong(value.span(), Wrong::new(format!("`{key}` is empty"), help));
        return None;
    }
    Some(names)
}

/// The names without their places.
fn plain(names: Vec<Spanned<String>>) -> Vec<String> {
    names.into_iter().map(|name| name.value).collect()
}

/// A span of time beside a step's own key, or what it is where nothing is said.
fn time(reader: &mut Reader, table: &mut Table, key: &'static str, usual: Duration) -> Option<Duration> {
    match table.get(key) {
        Some(value) => reader.duration(value, key).map(|time| time.value),
        None => Some(usual),
    }
}

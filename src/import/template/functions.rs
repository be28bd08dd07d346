//! The functions of templates: those of Go's own, and of those that topologies take from others the common ones.

use std::rc::Rc;

use super::value::Value;

/// Lists that functions make are no longer.
const LONGEST_LIST: i64 = 100_000;
/// Texts that functions make are no longer, in bytes.
const LONGEST_TEXT: usize = 1 << 20;

/// Calls a function.
///
/// # Errors
/// There is no such function, or its words are not what it takes: a sentence.
pub(super) fn call(name: &str, words: &[Value]) -> Result<Value, String> {
    // `math.Add` and `strings.ToUpper` are the same functions under the names of their packages.
    let short = name.rsplit('.').next().unwrap_or(name);
    let lower = short.to_ascii_lowercase();
    let text = |at: usize| words.get(at).map(ToString::to_string).unwrap_or_default();
    let truth = |it: bool| Ok(Value::Truth(it));
    match lower.as_str() {
        "index" => Ok(words.split_first().map_or(Value::Nil, |(first, keys)| {
            keys.iter().fold(first.clone(), |value, key| value.inner(key))
        })),
        "until" | "seq" | "untilstep" | "add" | "add1" | "sub" | "mul" | "div" | "mod" | "rem" | "max"
        | "min" => numbers(&lower, words),
        "len" => match words.first() {
            Some(Value::List(items)) => whole(items.len()),
            Some(Value::Map(entries)) => whole(entries.len()),
            Some(Value::Text(text)) => whole(text.len()),
            _ => Err("`len` is of lists, maps and texts".into()),
        },
        "eq" => truth(
            words
                .split_first()
                .is_some_and(|(first, others)| others.iter().any(|it| same(first, it))),
        ),
        "ne" => truth(words.len() == 2 && !same(&words[0], &words[1])),
        "lt" | "le" | "gt" | "ge" => compare(&lower, words),
        "and" => Ok(words
            .iter()
            .find(|it| !it.is_true())
            .or(words.last())
            .cloned()
            .unwrap_or(Value::Nil)),
        "or" => Ok(words
            .iter()
            .find(|it| it.is_true())
            .or(words.last())
            .cloned()
            .unwrap_or(Value::Nil)),
        "not" => truth(words.first().is_some_and(|it| !it.is_true())),
        "empty" => truth(words.first().is_none_or(|it| !it.is_true())),
        "default" => {
            let given = words.get(1).filter(|it| it.is_true());
            Ok(given.or(words.first()).cloned().unwrap_or(Value::Nil))
        }
        "ternary" => match words {
            [yes, no, condition] => Ok(if condition.is_true() {
                yes.clone()
            } else {
                no.clone()
            }),
            _ => Err("`ternary` takes three words".into()),
        },
        "list" | "slice" | "coll" => Ok(Value::List(words.into())),
        "dict" => {
            let pairs = words.chunks(2);
            let entries = pairs.map(|pair| (pair[0].to_string(), pair.get(1).cloned().unwrap_or(Value::Nil)));
            Ok(Value::Map(Rc::new(entries.collect())))
        }
        "haskey" | "has" => truth(match words {
            [Value::Map(entries), key] => entries.contains_key(&key.to_string()),
            [wanted, Value::List(items)] | [Value::List(items), wanted] => {
                items.iter().any(|it| same(it, wanted))
            }
            _ => false,
        }),
        "print" | "println" => Ok(Value::Text(
            words
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
        )),
        "printf" | "format" => printf(words),
        "tostring" | "string" => Ok(Value::Text(text(0))),
        "toint" | "int" | "int64" | "atoi" => words
            .first()
            .and_then(Value::whole)
            .map(Value::Whole)
            .ok_or_else(|| format!("`{}` is no whole number", text(0).escape_debug())),
        "quote" => Ok(Value::Text(format!("{:?}", text(0)))),
        "squote" => Ok(Value::Text(format!("'{}'", text(0)))),
        "upper" | "toupper" => Ok(Value::Text(text(0).to_uppercase())),
        "lower" | "tolower" => Ok(Value::Text(text(0).to_lowercase())),
        "trim" | "trimspace" => Ok(Value::Text(text(0).trim().to_owned())),
        "contains" => truth(text(1).contains(&text(0))),
        "hasprefix" => truth(text(1).starts_with(&text(0))),
        "hassuffix" => truth(text(1).ends_with(&text(0))),
        "replace" | "replaceall" => bounded(text(2).replace(&text(0), &text(1))),
        "split" | "splitlist" => Ok(Value::List(
            text(1)
                .split(&text(0))
                .map(|it| Value::Text(it.to_owned()))
                .collect(),
        )),
        "join" => match words {
            [Value::List(items), between] | [between, Value::List(items)] => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                bounded(items.join(&between.to_string()))
            }
            _ => Err("`join` takes a list and what stands between its items".into()),
        },
        _ => Err(format!("there is no function `{}`", name.escape_debug())),
    }
}

fn whole(number: usize) -> Result<Value, String> {
    i64::try_from(number)
        .map(Value::Whole)
        .map_err(|_| "the number is too large".into())
}

fn bounded(text: String) -> Result<Value, String> {
    match text.len() > LONGEST_TEXT {
        true => Err(format!("a text is longer than {LONGEST_TEXT} bytes")),
        false => Ok(Value::Text(text)),
    }
}

/// Numbers are the same whatever they are written as.
fn same(one: &Value, other: &Value) -> bool {
    one == other
        || matches!((one, other), (Value::Whole(_) | Value::Broken(_), Value::Broken(_) | Value::Whole(_)) if one.to_string() == other.to_string())
}

fn numbers(name: &str, words: &[Value]) -> Result<Value, String> {
    let numbers: Option<Vec<i64>> = words.iter().map(Value::whole).collect();
    let numbers = numbers.ok_or_else(|| format!("`{name}` takes whole numbers"))?;
    let fold = |first: i64, with: fn(i64, i64) -> Option<i64>| {
        numbers.iter().try_fold(first, |sum, number| with(sum, *number))
    };
    let rest = |with: fn(i64, i64) -> Option<i64>| {
        let (first, others) = numbers.split_first()?;
        others.iter().try_fold(*first, |sum, number| with(sum, *number))
    };
    let result = match (name, numbers.as_slice()) {
        ("until", [end]) => return range(0, *end, 1),
        ("seq", [end]) => return range(1, end.saturating_add(1), 1),
        ("seq", [begin, end]) => return range(*begin, end.saturating_add(1), 1),
        ("seq" | "untilstep", [begin, end, step]) => return range(*begin, *end, *step),
        ("add", _) => fold(0, i64::checked_add),
        ("add1", [number]) => number.checked_add(1),
        ("sub", _) => rest(i64::checked_sub),
        ("mul", _) => fold(1, i64::checked_mul),
        ("div", _) => rest(i64::checked_div),
        ("mod" | "rem", _) => rest(i64::checked_rem),
        ("max", _) => numbers.iter().copied().max(),
        ("min", _) => numbers.iter().copied().min(),
        _ => None,
    };
    result
        .map(Value::Whole)
        .ok_or_else(|| format!("`{name}` cannot be worked out with these numbers"))
}

fn range(begin: i64, end: i64, step: i64) -> Result<Value, String> {
    let Some(step) = usize::try_from(step).ok().filter(|step| *step > 0) else {
        return Err("the step of a list of numbers is more than zero".into());
    };
    match end.saturating_sub(begin) > LONGEST_LIST {
        true => Err(format!("a list of numbers is longer than {LONGEST_LIST}")),
        false => Ok(Value::List(
            (begin..end).step_by(step).map(Value::Whole).collect(),
        )),
    }
}

fn compare(name: &str, words: &[Value]) -> Result<Value, String> {
    let [one, other] = words else {
        return Err(format!("`{name}` takes two words"));
    };
    let order = match (one, other) {
        (Value::Text(one), Value::Text(other)) => one.cmp(other),
        _ => match (one.whole(), other.whole()) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => return Err(format!("`{name}` compares numbers or texts")),
        },
    };
    Ok(Value::Truth(match name {
        "lt" => order.is_lt(),
        "le" => order.is_le(),
        "gt" => order.is_gt(),
        _ => order.is_ge(),
    }))
}

/// `%s`, `%v`, `%q`, `%d`, `%x`, with a width and zeros before it.
fn printf(words: &[Value]) -> Result<Value, String> {
    let Some((format, words)) = words.split_first() else {
        return Err("`printf` has no format".into());
    };
    let format = format.to_string();
    let mut words = words.iter();
    let mut text = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| c.is_ascii_digit() || matches!(c, '-' | '.')) {
            flags.push(flag);
        }
        let verb = chars.next().unwrap_or('%');
        if verb == '%' {
            text.push('%');
            continue;
        }
        let word = words
            .next()
            .ok_or("`printf` has fewer words than its format asks for")?;
        let shown = match verb {
            'd' | 'x' | 'X' | 'o' | 'b' => {
                let number = word
                    .whole()
                    .ok_or_else(|| format!("`%{verb}` takes a whole number"))?;
                match verb {
                    'x' => format!("{number:x}"),
                    'X' => format!("{number:X}"),
                    'o' => format!("{number:o}"),
                    'b' => format!("{number:b}"),
                    _ => number.to_string(),
                }
            }
            's' | 'v' => word.to_string(),
            'q' => format!("{:?}", word.to_string()),
            _ => return Err(format!("`printf` knows no `%{}`", verb.escape_debug())),
        };
        let digits = flags.trim_start_matches(['-', '0']);
        let width = digits
            .split('.')
            .next()
            .and_then(|it| it.parse().ok())
            .unwrap_or(0)
            .min(1000_usize);
        let missing = width.saturating_sub(shown.chars().count());
        match flags.as_bytes().first() {
            Some(b'0') => text.push_str(&"0".repeat(missing)),
            Some(b'-') => {}
            _ => text.push_str(&" ".repeat(missing)),
        }
        text.push_str(&shown);
        if flags.starts_with('-') {
            text.push_str(&" ".repeat(missing));
        }
    }
    bounded(text)
}

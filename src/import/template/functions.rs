//! The functions of templates: those of Go's own, and of those that topologies take from others the common ones.

use super::json;
use super::value::{HEAVIEST, LONGEST_LIST, Value};

/// What a call costs: what it makes, and some of what it reads.
pub(super) fn cost(name: &str, words: &[Value], made: &Value) -> usize {
    let short = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let read = match short.as_str() {
        // These hand on what there is already.
        "index" => &words[1.min(words.len())..],
        "len" | "and" | "or" | "not" | "empty" | "default" | "ternary" | "list" | "slice" | "coll" => &[],
        _ => return made.weight() + words.iter().map(Value::weight).sum::<usize>() / 8,
    };
    read.iter().map(Value::weight).sum::<usize>() / 8
}

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
        "until" | "seq" | "untilstep" | "add" | "add1" | "sub" | "subtract" | "mul" | "div" | "mod"
        | "rem" | "max" | "min" => numbers(&lower, words),
        "len" => match words.first() {
            Some(Value::List(items, _)) => whole(items.len()),
            Some(Value::Map(entries, _)) => whole(entries.len()),
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
        "list" | "slice" | "coll" => Value::list(words.to_vec()),
        "dict" => {
            let pairs = words.chunks(2);
            let entries = pairs.map(|pair| (pair[0].to_string(), pair.get(1).cloned().unwrap_or(Value::Nil)));
            Value::map(entries.collect())
        }
        "haskey" | "has" => truth(match words {
            [Value::Map(entries, _), key] => entries.contains_key(&key.to_string()),
            [wanted, Value::List(items, _)] | [Value::List(items, _), wanted] => {
                items.iter().any(|it| same(it, wanted))
            }
            _ => false,
        }),
        "print" => print(words),
        "println" => {
            fits(words.iter().map(|word| word.weight() + 1).sum())?;
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            Value::text(words.join(" ") + "\n")
        }
        "tojson" => json::compact(words),
        "tojsonpretty" => json::pretty(words),
        "printf" | "format" => printf(words),
        "tostring" | "string" => Value::text(text(0)),
        "toint" | "int" | "int64" | "atoi" => words
            .first()
            .and_then(Value::whole)
            .map(Value::Whole)
            .ok_or_else(|| format!("`{}` is no whole number", text(0).escape_debug())),
        "quote" => Value::text(format!("{:?}", text(0))),
        "squote" => Value::text(format!("'{}'", text(0))),
        "upper" | "toupper" => Value::text(text(0).to_uppercase()),
        "lower" | "tolower" => Value::text(text(0).to_lowercase()),
        "trim" | "trimspace" => Value::text(text(0).trim().to_owned()),
        "contains" => truth(text(1).contains(&text(0))),
        "hasprefix" => truth(text(1).starts_with(&text(0))),
        "hassuffix" => truth(text(1).ends_with(&text(0))),
        "replace" | "replaceall" => replace(&text(2), &text(0), &text(1)),
        "split" | "splitlist" => {
            let (text, between) = (text(1), text(0));
            let parts = text.split(&between).take(LONGEST_LIST + 1);
            Value::list(parts.map(|it| Value::Text(it.into())).collect())
        }
        "join" => match words {
            [Value::List(items, _), between] | [between, Value::List(items, _)] => {
                let between = between.to_string();
                fits(items.iter().map(|item| item.weight() + between.len()).sum())?;
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                Value::text(items.join(&between))
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

/// Whether a text of this length may be made.
fn fits(length: usize) -> Result<(), String> {
    match length > HEAVIEST {
        true => Err(format!("a text is longer than {HEAVIEST} bytes")),
        false => Ok(()),
    }
}

fn replace(text: &str, from: &str, to: &str) -> Result<Value, String> {
    let count = text.matches(from).count();
    let kept = text.len().saturating_sub(count * from.len());
    fits(kept.saturating_add(count.saturating_mul(to.len())))?;
    Value::text(text.replace(from, to))
}

/// Words with a blank between two of which neither is a text.
fn print(words: &[Value]) -> Result<Value, String> {
    fits(words.iter().map(|word| word.weight() + 1).sum())?;
    let mut text = String::new();
    let mut is_first = true;
    let mut after_text = true;
    for word in words {
        let is_text = matches!(word, Value::Text(_));
        if !is_first && !is_text && !after_text {
            text.push(' ');
        }
        text.push_str(&word.to_string());
        (is_first, after_text) = (false, is_text);
    }
    Value::text(text)
}

/// Numbers are the same whatever they are written as.
fn same(one: &Value, other: &Value) -> bool {
    one == other
        || matches!((one, other), (Value::Whole(_) | Value::Broken(_), Value::Broken(_) | Value::Whole(_)) if one.to_string() == other.to_string())
}

fn numbers(name: &str, words: &[Value]) -> Result<Value, String> {
    let takes = || format!("`{name}` takes numbers");
    let is_broken = |word: &Value| match word {
        Value::Text(text) => text.trim().parse::<i64>().is_err(),
        other => matches!(other, Value::Broken(_)),
    };
    if words.iter().any(is_broken) {
        let numbers: Option<Vec<f64>> = words.iter().map(Value::number).collect();
        return broken(name, &numbers.ok_or_else(takes)?);
    }
    let numbers: Option<Vec<i64>> = words.iter().map(Value::whole).collect();
    let numbers = numbers.ok_or_else(takes)?;
    let fold = |first: i64, with: fn(i64, i64) -> Option<i64>| {
        numbers.iter().try_fold(first, |sum, number| with(sum, *number))
    };
    let rest = |with: fn(i64, i64) -> Option<i64>| {
        let (first, others) = numbers.split_first()?;
        others.iter().try_fold(*first, |sum, number| with(sum, *number))
    };
    let result = match (name, numbers.as_slice()) {
        ("until", [end]) => return range(0, *end, if *end < 0 { -1 } else { 1 }),
        ("untilstep", [begin, end, step]) => return range(*begin, *end, *step),
        ("seq", [end]) => return seq(1, *end, 1),
        ("seq", [begin, end]) => return seq(*begin, *end, 1),
        ("seq", [begin, end, step]) => return seq(*begin, *end, *step),
        ("add", _) => fold(0, i64::checked_add),
        ("add1", [number]) => number.checked_add(1),
        ("sub" | "subtract", _) => rest(i64::checked_sub),
        ("mul", _) => fold(1, i64::checked_mul),
        ("div", [one, other]) if other.checked_abs().is_some_and(|it| it > 0) && one % other != 0 => {
            return Ok(Value::Broken(*one as f64 / *other as f64));
        }
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

/// With numbers that are not whole.
fn broken(name: &str, numbers: &[f64]) -> Result<Value, String> {
    let rest = |with: fn(f64, f64) -> f64| {
        let (first, others) = numbers.split_first()?;
        Some(others.iter().fold(*first, |sum, number| with(sum, *number)))
    };
    let result = match name {
        "add" => rest(|a, b| a + b),
        "add1" => numbers.first().map(|number| number + 1.0),
        "sub" | "subtract" => rest(|a, b| a - b),
        "mul" => rest(|a, b| a * b),
        "div" => rest(|a, b| a / b),
        "max" => rest(f64::max),
        "min" => rest(f64::min),
        _ => return Err(format!("`{name}` takes whole numbers")),
    };
    result
        .filter(|number| number.is_finite())
        .map(Value::Broken)
        .ok_or_else(|| format!("`{name}` cannot be worked out with these numbers"))
}

/// Numbers with the last one; downwards where that is less than the first.
fn seq(begin: i64, end: i64, step: i64) -> Result<Value, String> {
    let step = step.saturating_abs();
    match end < begin {
        true => range(begin, end.saturating_sub(1), -step),
        false => range(begin, end.saturating_add(1), step),
    }
}

/// Numbers without the last one.
fn range(begin: i64, end: i64, step: i64) -> Result<Value, String> {
    if step == 0 {
        return Err("the step of a list of numbers is not zero".into());
    }
    let mut numbers = Vec::new();
    let mut next = Some(begin);
    while let Some(number) = next.filter(|it| if step > 0 { *it < end } else { *it > end }) {
        if numbers.len() == LONGEST_LIST {
            return Err(format!("a list of numbers is longer than {LONGEST_LIST}"));
        }
        numbers.push(Value::Whole(number));
        next = number.checked_add(step);
    }
    Value::list(numbers)
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

/// `%s`, `%v`, `%q`, `%d`, `%x`, `%f`, with a width and zeros before it.
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
            'f' | 'F' => {
                let number = word.number().ok_or_else(|| format!("`%{verb}` takes a number"))?;
                let after = flags.split_once('.').map(|(_, after)| after.parse().unwrap_or(0));
                format!("{number:.*}", after.unwrap_or(6_usize).min(100))
            }
            's' | 'v' | 't' => word.to_string(),
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
        fits(text.len())?;
    }
    Value::text(text)
}

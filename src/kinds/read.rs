//! The file of a kind: from TOML text to a [`Definition`].

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::OWN;
use crate::lab::Diagnostic;
use crate::lab::definition::pattern::Pattern;
use crate::lab::definition::{Definition, License, List, Names, StartupConfig, template};
use crate::lab::file::reader::{Reader, Table, Value, Wrong};
use crate::lab::file::{Span, Spanned, kind_file, suggest, values};
use crate::lab::model::{Command, HostNeeds, Kind};

/// The longest name of a kind.
const LONGEST: usize = 48;
const BASES: &[(&str, Kind)] = &[("host", Kind::Host), ("router", Kind::Router)];
/// The variables of an item of a list.
const OF_LINK: [&str; 2] = ["interface", "kernel"];

/// Reads a kind's file; `place` is where it stands.
///
/// # Errors
/// Every error in it, in the order of the file.
pub fn read(text: &str, place: Option<&str>) -> Result<Definition, Vec<Diagnostic>> {
    suggest::begin();
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(syntax).collect());
    }
    let mut reader = Reader::new(text);
    let definition = top(&mut reader, document.get_ref(), place);
    let mut diagnostics = reader.diagnostics;
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map_or(0, |label| label.span.start));
    match definition {
        Some(definition) if diagnostics.is_empty() => Ok(definition),
        _ => Err(diagnostics),
    }
}

fn syntax(error: &toml::de::Error) -> Diagnostic {
    let message: Vec<&str> = error.message().lines().collect();
    Diagnostic::new(message.join(", "), error.span().unwrap_or(0..0), "")
        .help("the file of a kind is TOML: `nslab kinds show nokia_srlinux` prints one")
}

fn top(reader: &mut Reader, document: &DeTable, place: Option<&str>) -> Option<Definition> {
    let mut table = Table::new(document, "kind file", "the file of a kind", 0..0);
    let name = match table.get("name") {
        Some(value) => reader.parsed(value, "name", "acme_router", name),
        None => {
            reader.missing(&table, "name", "name = \"acme_router\"");
            None
        }
    };
    let aliases = table.get("aliases").and_then(|value| {
        reader.list(value, "aliases", "\"acme\"", |reader, value| {
            reader.parsed(value, "aliases", "acme", self::name)
        })
    });
    let summary = table
        .get("summary")
        .and_then(|value| reader.string(value, "summary", "ACME's router"));
    let base = table
        .get("base")
        .and_then(|value| reader.word(value, "base", BASES));
    let needs_image = table
        .get("needs_image")
        .and_then(|value| reader.boolean(value, "needs_image"));
    let needs = table.get("host").map(|value| needs(reader, value));
    let types = table
        .get("types")
        .map(|value| types(reader, value))
        .unwrap_or_default();
    let default_type = table
        .get("default_type")
        .and_then(|value| reader.string(value, "default_type", "small"));
    let unknown = |said: &&Spanned<String>| !types.is_empty() && !types.contains_key(&said.value);
    if let Some(said) = default_type.as_ref().filter(unknown) {
        let known = types.keys().map(String::as_str);
        let help = suggest::cure(&said.value, known, "the types are", "add a table `[types.NAME]`");
        let message = format!("there is no type `{}`", said.value.escape_debug());
        reader.wrong(said.span.clone(), Wrong::new(message, help));
    }
    let lists = table
        .get("lists")
        .map(|value| lists(reader, value))
        .unwrap_or_default();
    let interfaces = table.get("interfaces").and_then(|value| {
        let example = "{ name = \"Port{n}\", kernel = \"p{n}\" }";
        reader.list(value, "interfaces", example, names)
    });
    let ready_within = table
        .get("ready_within")
        .and_then(|value| reader.duration(value, "ready_within"));
    let ready = table
        .get("ready")
        .and_then(|value| kind_file::probe(reader, value));
    let license = table.get("license").and_then(|value| license(reader, value));
    let startup_config = table.get("startup_config").and_then(|value| {
        let example = "{ path = \"/etc/acme.conf\" }";
        reader.list(value, "startup_config", example, startup)
    });
    let after_ready = commands(reader, &mut table, "after_ready");
    let save = table
        .get("save")
        .and_then(|value| kind_file::command(reader, value));
    let span = table.key_span("node").unwrap_or_default();
    let node = table
        .get("node")
        .map(|value| kind_file::node(reader, value, span))
        .unwrap_or_default();
    for (key, said) in [
        ("kind", node.kind.as_ref().map(|kind| kind.span.clone())),
        ("kind", node.vendor.as_ref().map(|kind| kind.span.clone())),
        ("group", node.group.as_ref().map(|group| group.span.clone())),
    ] {
        if let Some(span) = said {
            let message = format!("the file of a kind cannot set `{key}` of its nodes");
            reader.wrong(span, Wrong::new(message, "remove it"));
        }
    }
    table.finish(reader);
    let of_types: Vec<&str> = types
        .values()
        .flat_map(|variables| variables.keys().map(String::as_str))
        .collect();
    let known = template::VARIABLES.iter().map(|(name, _)| *name);
    let known: Vec<&str> = known.chain(of_types).collect();
    let of_lists: Vec<&str> = lists.keys().map(String::as_str).collect();
    variables(reader, document, &known, &of_lists);
    let values = |list: Option<Vec<Spanned<String>>>| -> Vec<String> {
        let list = list.into_iter().flatten();
        list.map(|item| item.value).collect()
    };
    Some(Definition {
        name: name?.value,
        aliases: values(aliases),
        summary: summary.map(|it| it.value).unwrap_or_default(),
        place: place.map(str::to_owned),
        base: base.map_or(Kind::Host, |base| base.value),
        needs_image: needs_image.is_none_or(|it| it.value),
        types,
        default_type: default_type.map(|it| it.value),
        lists,
        interfaces: interfaces.unwrap_or_default(),
        needs: needs.unwrap_or_default(),
        license,
        ready,
        startup_config: startup_config.unwrap_or_default(),
        ready_within: ready_within.map(|it| it.value),
        after_ready,
        save,
        node,
    })
}

/// A kind's name: as containerlab's are, and none of nslab's own.
fn name(text: &str) -> Result<String, Wrong> {
    if OWN.contains(&text) {
        let message = format!("`{text}` is a kind that nslab plays itself, and cannot be replaced");
        return Err(Wrong::new(message, "give the kind another name"));
    }
    let is_legal = |c: u8| c.is_ascii_alphanumeric() || b"_-.".contains(&c);
    let good = !text.is_empty()
        && text.len() <= LONGEST
        && text.bytes().all(is_legal)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    match good {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(
            format!("`{}` cannot be the name of a kind", text.escape_debug()),
            format!("use at most {LONGEST} letters, digits, `_`, `-` and `.`: `acme_router`"),
        )),
    }
}

/// `[host]`: what the host must have.
fn needs(reader: &mut Reader, value: &Value) -> HostNeeds {
    let Some(mut table) = reader.table(value, "host", "kind host", "`[host]`", value.span()) else {
        return HostNeeds::default();
    };
    let mut words = |reader: &mut Reader, key: &'static str, example: &str| {
        let value = table.get(key)?;
        reader.list(value, key, &format!("\"{example}\""), |reader, value| {
            reader.parsed(value, key, example, word).map(|it| it.value)
        })
    };
    let architectures = words(reader, "architectures", "x86_64");
    let cpu_flags = words(reader, "cpu_flags", "ssse3");
    let cpus = table
        .get("cpus")
        .and_then(|value| reader.integer(value, "cpus", 1..=4096));
    let memory = table
        .get("memory")
        .and_then(|value| reader.parsed(value, "memory", "2G", values::memory));
    table.finish(reader);
    HostNeeds {
        architectures: architectures.unwrap_or_default(),
        cpu_flags: cpu_flags.unwrap_or_default(),
        cpus: cpus.map(|it| it.value),
        memory: memory.map(|it| it.value),
    }
}

/// A word as `uname -m` and /proc/cpuinfo have them.
fn word(text: &str) -> Result<String, Wrong> {
    let is_legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    match !text.is_empty() && text.bytes().all(is_legal) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(
            format!(
                "`{}` is no name of an architecture or of what a CPU can do",
                text.escape_debug()
            ),
            "write it as `uname -m` or the line `flags` of /proc/cpuinfo does: `ssse3`",
        )),
    }
}

/// `[types.NAME]`: variables by model, or the model that the name is another name of.
fn types(reader: &mut Reader, value: &Value) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut types = BTreeMap::new();
    let mut others = Vec::new();
    for (name, value) in reader.map(value, "types", "[types.small]") {
        if value.get_ref().is_str() {
            others.extend(
                reader
                    .string(value, name.value, "small")
                    .map(|of| (name.value.to_owned(), of)),
            );
            continue;
        }
        let variables = reader.map(value, name.value, "ports = \"24\"");
        let mut known = BTreeMap::new();
        for (variable, value) in variables {
            if let Err(wrong) = self::variable(variable.value) {
                reader.wrong(variable.span, wrong);
                continue;
            }
            if let Some(text) = kind_file::scalar(reader, value, variable.value) {
                known.insert(variable.value.to_owned(), text.value);
            }
        }
        types.insert(name.value.to_owned(), known);
    }
    for (name, of) in others {
        match types.get(&of.value).cloned() {
            Some(variables) => drop(types.insert(name, variables)),
            None => {
                let help = "another name of a type stands as `other = \"name\"`, with a table `[types.name]`";
                let message = format!("there is no type `{}`", of.value.escape_debug());
                reader.wrong(of.span, Wrong::new(message, help));
            }
        }
    }
    types
}

/// The name of a variable, which is none of those that every kind has.
fn variable(name: &str) -> Result<(), Wrong> {
    if template::variables(&format!("{{{name}}}")) != [name] {
        return Err(Wrong::new(
            format!("`{}` cannot be the name of a variable", name.escape_debug()),
            "use lower-case letters, digits and `_`, beginning with a letter: `ports`",
        ));
    }
    match template::VARIABLES.iter().find(|(known, _)| *known == name) {
        Some((_, meaning)) => Err(Wrong::new(
            format!("the variable `{name}` is {meaning}"),
            "give yours another name",
        )),
        None => Ok(()),
    }
}

/// `[lists.NAME]`: variables that go over all links.
fn lists(reader: &mut Reader, value: &Value) -> BTreeMap<String, List> {
    let mut lists = BTreeMap::new();
    for (name, value) in reader.map(value, "lists", "[lists.ports]") {
        if let Err(wrong) = variable(name.value) {
            reader.wrong(name.span, wrong);
            continue;
        }
        let what = format!("the list `{}`", name.value);
        let Some(mut table) = reader.table(value, name.value, "kind list", what, name.span) else {
            continue;
        };
        let item = match table.get("item") {
            Some(value) => reader.string(value, "item", "{interface}"),
            None => {
                reader.missing(&table, "item", "item = \"{interface}\"");
                None
            }
        };
        let join = table
            .get("join")
            .and_then(|value| reader.string(value, "join", ";"));
        table.finish(reader);
        if let Some(item) = item {
            let list = List {
                item: item.value,
                join: join.map(|it| it.value).unwrap_or_default(),
            };
            lists.insert(name.value.to_owned(), list);
        }
    }
    lists
}

/// `{ name = …, kernel = … }`.
fn names(reader: &mut Reader, value: &Value) -> Option<Names> {
    let mut table = reader.table(
        value,
        "interfaces",
        "kind interface",
        "an interface",
        value.span(),
    )?;
    let mut pattern = |reader: &mut Reader, key: &'static str, example: &str| match table.get(key) {
        Some(value) => reader.parsed(value, key, example, |text| {
            Pattern::read(text)
                .map_err(|reason| Wrong::new(reason, format!("for example `{key} = \"{example}\"`")))
        }),
        None => {
            reader.missing(&table, key, &format!("{key} = \"{example}\""));
            None
        }
    };
    let name = pattern(reader, "name", "ethernet-{slot}/{port}");
    let kernel = pattern(reader, "kernel", "e{slot}-{port}");
    table.finish(reader);
    let (name, kernel) = (name?, kernel?);
    if name.value.numbers() != kernel.value.numbers() {
        let message = "`name` and `kernel` have different numbers in them";
        let help =
            "each number of one stands in the other as well: `ethernet-{slot}/{port}` and `e{slot}-{port}`";
        reader.wrong(kernel.span.clone(), Wrong::new(message, help));
        return None;
    }
    // With the shortest numbers it has to be a name that the kernel takes.
    let shortest = kernel.value.to_string();
    let shortest = template::fill(&shortest, shortest.len(), &|_| Some("0".into())).unwrap_or(shortest);
    if let Err(wrong) = values::interface(&shortest) {
        reader.wrong(kernel.span, wrong);
        return None;
    }
    Some(Names {
        name: name.value,
        kernel: kernel.value,
    })
}

/// `{ path = …, apply = … }`.
fn license(reader: &mut Reader, value: &Value) -> Option<License> {
    let mut table = reader.table(value, "license", "kind license", "`license`", value.span())?;
    let path = match table.get("path") {
        Some(value) => reader.parsed(value, "path", "/etc/license.key", values::node_path),
        None => {
            reader.missing(&table, "path", "path = \"/etc/license.key\"");
            None
        }
    };
    let apply = commands(reader, &mut table, "apply");
    table.finish(reader);
    Some(License {
        path: path?.value,
        apply,
    })
}

/// `{ begins = …, path = …, apply = … }`.
fn startup(reader: &mut Reader, value: &Value) -> Option<StartupConfig> {
    let what = "a `startup_config`";
    let mut table = reader.table(value, "startup_config", "kind startup config", what, value.span())?;
    let begins = table
        .get("begins")
        .and_then(|value| reader.string(value, "begins", "{"));
    let path = match table.get("path") {
        Some(value) => reader.parsed(value, "path", "/etc/acme.conf", values::node_path),
        None => {
            reader.missing(&table, "path", "path = \"/etc/acme.conf\"");
            None
        }
    };
    let apply = commands(reader, &mut table, "apply");
    table.finish(reader);
    Some(StartupConfig {
        begins: begins.map(|it| it.value),
        path: path?.value,
        apply,
    })
}

fn commands(reader: &mut Reader, table: &mut Table, key: &'static str) -> Vec<Command> {
    let commands = table
        .get(key)
        .and_then(|value| reader.list(value, key, "\"acme-cli commit\"", kind_file::command));
    commands.unwrap_or_default()
}

/// Tells variables that nothing is known of, anywhere in the file but in the patterns of interfaces. A list has no list in it: it
/// would have to end somewhere.
fn variables(reader: &mut Reader, document: &DeTable, known: &[&str], lists: &[&str]) {
    for (key, value) in document {
        match key.get_ref().as_ref() {
            "interfaces" => {}
            "lists" => within(reader, value, &[known, &OF_LINK].concat()),
            _ => within(reader, value, &[known, lists].concat()),
        }
    }
}

fn within(reader: &mut Reader, value: &Value, known: &[&str]) {
    match value.get_ref() {
        DeValue::String(text) => unknown(reader, text, &value.span(), known),
        DeValue::Array(items) => items.iter().for_each(|item| within(reader, item, known)),
        DeValue::Table(table) => table.iter().for_each(|(key, value)| {
            unknown(reader, key.get_ref(), &key.span(), known);
            within(reader, value, known);
        }),
        _ => {}
    }
}

fn unknown(reader: &mut Reader, text: &str, span: &Span, known: &[&str]) {
    for variable in template::variables(text) {
        if known.contains(&variable) {
            continue;
        }
        let help = suggest::cure(variable, known.iter().copied(), "the variables are", "");
        let message = format!("there is no variable `{{{variable}}}`");
        reader.wrong(span.clone(), Wrong::new(message, help));
    }
}

//! `[[checks]]`.

use std::net::IpAddr;
use std::time::Duration;

use toml::de::DeValue;

use super::command::{argv, shell_line};
use super::reader::{Reader, Table, Value, Wrong};
use super::{CheckSpec, PingSpec, QuestionSpec, Spanned, TcpSpec, values};
use crate::check::{BgpWanted, Expect, Family, Phase, RouteWanted};
use crate::jq;

const PHASES: &[(&str, Phase)] = &[("before", Phase::Before), ("after", Phase::After)];
const FAMILIES: &[(&str, Family)] = &[("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];
/// The states of RFC 4271, section 8.2.2, as FRR writes them.
const STATES: &[(&str, &str)] = &[
    ("Established", "Established"),
    ("Idle", "Idle"),
    ("Connect", "Connect"),
    ("Active", "Active"),
    ("OpenSent", "OpenSent"),
    ("OpenConfirm", "OpenConfirm"),
];
/// The main routing table (RT_TABLE_MAIN).
const MAIN: u32 = 254;
/// Bytes of a regular expression.
const LONGEST_PATTERN: usize = 64 << 10;
const KINDS: [&str; 6] = ["run", "shell", "ping", "tcp", "route", "bgp"];

/// An entry of `[[checks]]`.
pub(super) fn check(reader: &mut Reader, value: &Value) -> Option<CheckSpec> {
    let line = reader.line(value.span().start);
    let mut table = reader.table(value, "checks", "check", "a check", value.span())?;
    let name = match table.get("name") {
        Some(value) => reader.parsed(value, "name", "a reaches b", one_line),
        None => {
            reader.missing(&table, "name", "name = \"a reaches b\"");
            None
        }
    };
    let nodes = match table.get("node") {
        Some(value) => nodes(reader, value),
        None => {
            reader.missing(&table, "node", "node = \"router0\"");
            None
        }
    };
    // The first keys of those that an error lists.
    for kind in KINDS {
        let _ = table.get(kind);
    }
    let _ = table.get("expect");
    let within = span_of_time(reader, &mut table, "within");
    let stays = span_of_time(reader, &mut table, "stays");
    let not = table.get("not").and_then(|value| reader.boolean(value, "not"));
    let phase = table
        .get("phase")
        .and_then(|value| reader.word(value, "phase", PHASES));
    let question = question(reader, &mut table);
    table.finish(reader);
    Some(CheckSpec {
        name: name?,
        nodes: nodes?,
        question: question?,
        within,
        stays,
        not: not.is_some_and(|not| not.value),
        phase: phase.map_or(Phase::After, |phase| phase.value),
        line,
    })
}

fn span_of_time(reader: &mut Reader, table: &mut Table, key: &'static str) -> Duration {
    let value = table.get(key);
    let read = value.and_then(|value| reader.duration(value, key));
    read.map_or(Duration::ZERO, |duration| duration.value)
}

fn one_line(text: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(Wrong::new(
            "a check's name is one line of text",
            "say what must be true: `name = \"a reaches b\"`",
        ));
    }
    Ok(text.to_owned())
}

/// A node, or a list of nodes.
fn nodes(reader: &mut Reader, value: &Value) -> Option<Vec<Spanned<String>>> {
    if !value.get_ref().is_array() {
        return Some(vec![reader.string(value, "node", "router0")?]);
    }
    let nodes = reader.list(value, "node", "\"router0\"", |reader, value| {
        reader.string(value, "node", "router0")
    })?;
    if nodes.is_empty() {
        reader.wrong(
            value.span(),
            Wrong::new("the check has no node", "name one: `node = \"router0\"`"),
        );
        return None;
    }
    Some(nodes)
}

fn question(reader: &mut Reader, table: &mut Table) -> Option<QuestionSpec> {
    let [run, shell, ping, tcp, route, bgp] = KINDS.map(|kind| table.get(kind));
    let expect = table.get("expect");
    let given: Vec<&str> = KINDS
        .into_iter()
        .zip([run, shell, ping, tcp, route, bgp])
        .filter_map(|(kind, value)| value.map(|_| kind))
        .collect();
    let kinds = "give one of `run`, `shell`, `ping`, `tcp`, `route` and `bgp`";
    match given.as_slice() {
        [_] => {}
        // What it was to ask is told to be unknown.
        [] if table.has_unknown() => return None,
        [] => {
            reader.wrong(table.span(), Wrong::new("the check asks nothing", kinds));
            return None;
        }
        several => {
            let message = format!("the check asks several things: `{}`", several.join("`, `"));
            let second = table.key_span(several[1]).unwrap_or(table.span());
            reader.wrong(second, Wrong::new(message, "make a check of each"));
            return None;
        }
    }
    if let (Some(expect), None, None) = (expect, run, shell) {
        let message = format!("`expect` is for commands, not for `{}`", given[0]);
        let help = format!("put what you expect into `{} = …`, or use `not = true`", given[0]);
        reader.wrong(expect.span(), Wrong::new(message, help));
        return None;
    }
    let command = run
        .map(|value| argv(reader, value, "run"))
        .or_else(|| shell.map(|value| shell_line(reader, value)));
    if let Some(command) = command {
        let expect = match expect {
            Some(value) => expected(reader, value)?,
            None => Expect::default(),
        };
        return Some(QuestionSpec::Run {
            command: command?,
            expect,
        });
    }
    ping.and_then(|value| ping_spec(reader, value))
        .map(QuestionSpec::Ping)
        .or_else(|| {
            tcp.and_then(|value| tcp_spec(reader, value))
                .map(QuestionSpec::Tcp)
        })
        .or_else(|| {
            route
                .and_then(|value| route_wanted(reader, value))
                .map(QuestionSpec::Route)
        })
        .or_else(|| {
            bgp.and_then(|value| bgp_wanted(reader, value))
                .map(QuestionSpec::Bgp)
        })
}

fn expected(reader: &mut Reader, value: &Value) -> Option<Expect> {
    let mut table = reader.table(value, "expect", "expect", "`expect`", value.span())?;
    let exit = table
        .get("exit")
        .and_then(|value| reader.integer(value, "exit", 0..=255));
    let stdout = table
        .get("stdout")
        .and_then(|value| reader.string(value, "stdout", "ready"));
    let contains = table.get("contains").and_then(|value| {
        if value.get_ref().is_array() {
            return reader.list(value, "contains", "\"text\"", |reader, value| {
                reader.string(value, "contains", "text")
            });
        }
        Some(vec![reader.string(value, "contains", "text")?])
    });
    let matches = table.get("matches").and_then(|value| {
        reader.parsed(value, "matches", "^10\\.0\\.", |text| {
            match regex::Regex::new(text) {
                // It is passed on as a word of a command.
                Ok(_) if text.len() > LONGEST_PATTERN || text.contains('\0') => Err(Wrong::new(
                    format!("the regular expression is longer than {LONGEST_PATTERN} bytes, or has a zero byte in it"),
                    "write a shorter one, and `\\x00` for a zero byte",
                )),
                Ok(_) => Ok(text.to_owned()),
                Err(error) => Err(Wrong::new(
                    format!("`{text}` is not a regular expression"),
                    regex_help(&error),
                )),
            }
        })
    });
    let jq = table.get("jq").and_then(|value| {
        reader.parsed(value, "jq", ".routes | length", |text| {
            jq::check(text).map(|()| text.to_owned()).map_err(|problem| {
                Wrong::new(
                    format!("`{text}` is not a jq expression: {problem}"),
                    "see jq's manual: `.routes | length`",
                )
            })
        })
    });
    let has_jq = table.key_span("jq").is_some();
    let equals = table.get("equals");
    if let (Some(equals), false) = (equals, has_jq) {
        let help = "add `jq = \"…\"`, whose value it is; for a command's whole output use `stdout`";
        reader.wrong(
            equals.span(),
            Wrong::new(
                "`equals` is the value of a jq expression, and there is none",
                help,
            ),
        );
    }
    let equals = equals.map(|value| json(reader, value));
    table.finish(reader);
    Some(Expect {
        exit: exit.map_or(0, |exit| exit.value),
        stdout: stdout.map(|text| text.value),
        contains: contains
            .unwrap_or_default()
            .into_iter()
            .map(|text| text.value)
            .collect(),
        matches: matches.map(|text| text.value),
        jq: jq.map(|text| text.value),
        equals: equals.flatten(),
    })
}

/// The last line of the library's message says what is wrong; the others draw where.
fn regex_help(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// A TOML value as JSON.
fn json(reader: &mut Reader, value: &Value) -> Option<serde_json::Value> {
    use serde_json::Value as Json;
    Some(match value.get_ref() {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Boolean(truth) => Json::Bool(*truth),
        DeValue::Integer(integer) => Json::from(i64::from_str_radix(integer.as_str(), integer.radix()).ok()?),
        DeValue::Float(float) => Json::from(float.as_str().parse::<f64>().ok()?),
        DeValue::Array(items) => Json::Array(
            items
                .iter()
                .map(|item| json(reader, item))
                .collect::<Option<_>>()?,
        ),
        DeValue::Table(table) => Json::Object(
            table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), json(reader, value)?)))
                .collect::<Option<_>>()?,
        ),
        DeValue::Datetime(_) => {
            reader.mistyped(value, "equals", "a value that JSON has", "equals = 12");
            return None;
        }
    })
}

/// An address, a node's name, or `{ to, from }`.
fn ping_spec(reader: &mut Reader, value: &Value) -> Option<PingSpec> {
    if !value.get_ref().is_table() {
        let to = reader.string(value, "ping", "10.0.4.2")?;
        return Some(PingSpec { to, from: None });
    }
    let mut table = reader.table(value, "ping", "ping", "`ping`", value.span())?;
    let to = match table.get("to") {
        Some(value) => reader.string(value, "to", "10.0.4.2"),
        None => {
            reader.missing(&table, "to", "to = \"10.0.4.2\"");
            None
        }
    };
    let from = table
        .get("from")
        .and_then(|value| reader.parsed(value, "from", "10.1.0.1", values::ip));
    table.finish(reader);
    Some(PingSpec { to: to?, from })
}

/// `ADDRESS:PORT`, `[IPV6]:PORT` or `NODE:PORT`.
fn tcp_spec(reader: &mut Reader, value: &Value) -> Option<TcpSpec> {
    let wrong = |text: &str| {
        Wrong::new(
            format!("`{text}` is not an address and a port"),
            "write `10.0.4.2:80`, `[fd00::2]:80` or `server3:80`",
        )
    };
    let read = reader.parsed(value, "tcp", "10.0.4.2:80", |text| {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong(text))?;
        let port: u16 = port.parse().map_err(|_| wrong(text))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let colons = host.contains(':');
        if port == 0 || host.is_empty() || colons && bare.is_none_or(|bare| bare.parse::<IpAddr>().is_err()) {
            return Err(wrong(text));
        }
        Ok((bare.unwrap_or(host).to_owned(), port))
    })?;
    Some(TcpSpec {
        to: Spanned::new(read.value.0, read.span),
        port: read.value.1,
    })
}

fn route_wanted(reader: &mut Reader, value: &Value) -> Option<RouteWanted> {
    let mut table = reader.table(value, "route", "checked route", "`route`", value.span())?;
    let via = table
        .get("via")
        .and_then(|value| reader.parsed(value, "via", "10.0.1.1", values::ip));
    let to = match table.get("to") {
        Some(value) => reader.parsed(value, "to", "10.0.4.0/24", values::destination),
        None => {
            reader.missing(&table, "to", "to = \"10.0.4.0/24\"");
            None
        }
    };
    let dev = table
        .get("dev")
        .and_then(|value| reader.parsed(value, "dev", "net0", values::written_interface));
    let proto = table
        .get("proto")
        .and_then(|value| super::command::scalar(reader, value, "proto"));
    let nexthops = table
        .get("nexthops")
        .and_then(|value| reader.integer(value, "nexthops", 0..=256));
    let metric = table
        .get("metric")
        .and_then(|value| reader.integer(value, "metric", 0..=i64::from(u32::MAX)));
    let number = table
        .get("table")
        .and_then(|value| reader.integer(value, "table", 1..=i64::from(u32::MAX)));
    table.finish(reader);
    let via = via.map(|via| via.value);
    // `default` is of the gateway's family, and of IPv4 where nothing says so.
    let to = to?.value.or_else(|| match via {
        Some(IpAddr::V6(_)) => "::/0".parse().ok(),
        _ => "0.0.0.0/0".parse().ok(),
    })?;
    Some(RouteWanted {
        to,
        via,
        dev: dev.map(|dev| dev.value),
        proto: proto.map(|proto| proto.value),
        nexthops: nexthops.map(|count| count.value),
        metric: metric.map(|metric| metric.value),
        table: number.map_or(MAIN, |number| number.value),
    })
}

fn bgp_wanted(reader: &mut Reader, value: &Value) -> Option<BgpWanted> {
    let mut table = reader.table(value, "bgp", "bgp", "`bgp`", value.span())?;
    let neighbor = match table.get("neighbor") {
        Some(value) => reader.string(value, "neighbor", "net0"),
        None => {
            reader.missing(&table, "neighbor", "neighbor = \"net0\"");
            None
        }
    };
    let family = table
        .get("family")
        .and_then(|value| reader.word(value, "family", FAMILIES));
    let state = table
        .get("state")
        .and_then(|value| reader.word(value, "state", STATES));
    let remote_as = table
        .get("as")
        .and_then(|value| reader.integer(value, "as", 1..=i64::from(u32::MAX)));
    let received = table
        .get("received")
        .and_then(|value| reader.integer(value, "received", 0..=i64::from(u32::MAX)));
    let sent = table
        .get("sent")
        .and_then(|value| reader.integer(value, "sent", 0..=i64::from(u32::MAX)));
    table.finish(reader);
    Some(BgpWanted {
        neighbor: neighbor?.value,
        family: family.map(|family| family.value),
        state: state.map(|state| state.value.to_owned()),
        remote_as: remote_as.map(|number| number.value),
        received: received.map(|count| count.value),
        sent: sent.map(|count| count.value),
    })
}

//! `image`, and what goes with it: a node that is an image, and what holds there in place of what the image says.

use std::time::Duration;

use super::command::RESTARTS;
use super::reader::{Reader, Table, Value, Wrong};
use super::{ImagesSpec, RegistrySpec, Spanned, command, values};
use crate::model::{Init, Restart};
use nslab_image::Reference;
use nslab_image::config::{Healthcheck, Test};
use nslab_image::source::{Pull, Source};

/// The words for when an image is pulled.
pub const PULLS: &[(&str, Pull)] = &[
    ("missing", Pull::Missing),
    ("always", Pull::Always),
    ("never", Pull::Never),
];
const INITS: &[(&str, Init)] = &[("nslab", Init::Nslab), ("image", Init::Image)];
/// What an image is called in examples.
const EXAMPLE: &str = "docker.io/frrouting/frr:v8.2.2";
/// A name is no longer, with its registry and its digest.
const LONGEST: usize = 512;
/// A health check is not asked for more often than the kernel's clocks tick, nor more seldom than once a day.
const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(24 * 3600);

/// What a node's table says of its image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageSpec {
    /// Where it is.
    pub source: Option<Spanned<Source>>,
    /// When it is asked for there.
    pub pull: Option<Spanned<Pull>>,
    /// The program and its first arguments.
    pub entrypoint: Option<Spanned<Vec<String>>>,
    /// What follows the entrypoint.
    pub cmd: Option<Spanned<Vec<String>>>,
    /// The user of whatever runs in the node.
    pub user: Option<Spanned<String>>,
    /// Where that starts.
    pub workdir: Option<Spanned<String>>,
    /// What asks whether the program is well.
    pub healthcheck: Option<Spanned<Healthcheck>>,
    /// The signal that ends it.
    pub stop_signal: Option<Spanned<String>>,
    /// Who is the first process.
    pub init: Option<Spanned<Init>>,
    /// What happens when the program ends.
    pub restart: Option<Spanned<Restart>>,
    /// Whether it has a terminal.
    pub terminal: Option<Spanned<bool>>,
}

impl ImageSpec {
    /// The keys that are given beside `image`, and where.
    pub fn given(&self) -> Vec<(&'static str, super::Span)> {
        fn at<T>(key: &'static str, value: Option<&Spanned<T>>) -> Option<(&'static str, super::Span)> {
            value.map(|value| (key, value.span.clone()))
        }
        let keys = [
            at("image_pull", self.pull.as_ref()),
            at("entrypoint", self.entrypoint.as_ref()),
            at("cmd", self.cmd.as_ref()),
            at("user", self.user.as_ref()),
            at("workdir", self.workdir.as_ref()),
            at("healthcheck", self.healthcheck.as_ref()),
            at("stop_signal", self.stop_signal.as_ref()),
            at("init", self.init.as_ref()),
            at("restart", self.restart.as_ref()),
            at("terminal", self.terminal.as_ref()),
        ];
        keys.into_iter().flatten().collect()
    }

    /// Puts another one over this one: what is said last holds.
    pub fn overlay(&mut self, over: &ImageSpec) {
        fn take<T: Clone>(base: &mut Option<T>, over: &Option<T>) {
            if over.is_some() {
                base.clone_from(over);
            }
        }
        take(&mut self.source, &over.source);
        take(&mut self.pull, &over.pull);
        take(&mut self.entrypoint, &over.entrypoint);
        take(&mut self.cmd, &over.cmd);
        take(&mut self.user, &over.user);
        take(&mut self.workdir, &over.workdir);
        take(&mut self.healthcheck, &over.healthcheck);
        take(&mut self.stop_signal, &over.stop_signal);
        take(&mut self.init, &over.init);
        take(&mut self.restart, &over.restart);
        take(&mut self.terminal, &over.terminal);
    }
}

/// The keys of a node's table.
pub(super) fn read(reader: &mut Reader, table: &mut Table) -> ImageSpec {
    ImageSpec {
        source: table
            .get("image")
            .and_then(|value| reader.parsed(value, "image", EXAMPLE, source)),
        pull: table
            .get("image_pull")
            .and_then(|value| reader.word(value, "image_pull", PULLS)),
        entrypoint: table
            .get("entrypoint")
            .and_then(|value| words(reader, value, "entrypoint")),
        cmd: table.get("cmd").and_then(|value| words(reader, value, "cmd")),
        user: table
            .get("user")
            .and_then(|value| reader.parsed(value, "user", "nobody", values::user_and_group)),
        workdir: table
            .get("workdir")
            .and_then(|value| reader.parsed(value, "workdir", "/srv", command::workdir)),
        healthcheck: table
            .get("healthcheck")
            .and_then(|value| healthcheck(reader, value)),
        stop_signal: table
            .get("stop_signal")
            .and_then(|value| reader.parsed(value, "stop_signal", "SIGTERM", stop_signal)),
        init: table
            .get("init")
            .and_then(|value| reader.word(value, "init", INITS)),
        restart: table
            .get("restart")
            .and_then(|value| reader.word(value, "restart", RESTARTS)),
        terminal: table
            .get("terminal")
            .and_then(|value| reader.boolean(value, "terminal")),
    }
}

/// Where an image is.
pub fn source(text: &str) -> Result<Source, Wrong> {
    let help = format!(
        "name an image: `{EXAMPLE}`; or a place: `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:ROOT`, `docker-daemon:NAME`, `containers-storage:NAME`"
    );
    let bad = |c: char| c.is_control() || c.is_whitespace();
    let place = text.split_once(':').map_or("", |(place, _)| place);
    let is_path = ["oci", "oci-archive", "docker-archive", "dir"].contains(&place);
    if text.is_empty() || text.len() > LONGEST || text.chars().any(|c| c.is_control()) {
        return Err(Wrong::new("this is no image's name", help));
    }
    let is_place = is_path || ["docker-daemon", "containers-storage"].contains(&place);
    if is_place && text.len() == place.len() + 1 {
        return Err(Wrong::new(format!("`{text}` names no place"), help));
    }
    if !is_path && text.contains(bad) {
        return Err(Wrong::new(
            format!("`{}` is no image's name", text.escape_debug()),
            help,
        ));
    }
    let source: Source = text
        .parse()
        .map_err(|wrong: String| Wrong::new(wrong, help.clone()))?;
    if let Source::Registry(name) = &source
        && let Err(error) = name.parse::<Reference>()
    {
        return Err(Wrong::new(error.message, error.help.unwrap_or(help)));
    }
    Ok(source)
}

/// A command: a list of its words, or a line that is split into words as a shell would. An empty list is no command at all.
fn words(reader: &mut Reader, value: &Value, key: &'static str) -> Option<Spanned<Vec<String>>> {
    if value.get_ref().is_str() {
        let words = reader.parsed(value, key, "sleep infinity", |text| {
            shell_words::split(text).map_err(|_| {
                Wrong::new(
                    "a quote is opened and not closed",
                    "close it, or put a backslash before it",
                )
            })
        })?;
        return Some(words);
    }
    if value.get_ref().as_array().is_none() {
        let example = format!("{key} = [\"sleep\", \"infinity\"]");
        reader.mistyped(value, key, "a list of words, or a command line", &example);
        return None;
    }
    let words = reader.list(value, key, "\"sleep\", \"infinity\"", |reader, value| {
        reader.string(value, key, "sleep").map(|word| word.value)
    })?;
    Some(Spanned::new(words, value.span()))
}

/// `{ test = "curl -f localhost", interval = "5s" }`, or false for none.
fn healthcheck(reader: &mut Reader, value: &Value) -> Option<Spanned<Healthcheck>> {
    if value.get_ref().as_bool() == Some(false) {
        return Some(Spanned::new(Healthcheck::default(), value.span()));
    }
    let mut table = reader.table(value, "healthcheck", "healthcheck", "`healthcheck`", value.span())?;
    let test = match table.get("test") {
        Some(value) if value.get_ref().is_str() => reader
            .string(value, "test", "curl -f localhost")
            .map(|line| Test::Shell(line.value)),
        Some(value) => words(reader, value, "test").and_then(|words| {
            let is_none = words.value.first().is_some_and(|first| first == "NONE");
            let test = in_dockers_words(words.value);
            if test.is_none() && !is_none {
                let help = "write `test = \"curl -f localhost\"`, or `healthcheck = false` for none";
                reader.wrong(
                    words.span,
                    Wrong::new("the health check's `test` has no command", help),
                );
            }
            test
        }),
        None => {
            reader.missing(&table, "test", "test = \"curl -f localhost\"");
            None
        }
    };
    let mut time = |reader: &mut Reader, key: &'static str| {
        let time = table.get(key).and_then(|value| reader.duration(value, key))?;
        if !time.is_zero() && !INTERVALS.contains(&time.value) {
            let help = format!("`{key}` is from 10ms to 24h");
            reader.wrong(time.span, Wrong::new(format!("`{key}` is out of range"), help));
            return None;
        }
        Some(time.value)
    };
    let interval = time(reader, "interval").unwrap_or_default();
    let timeout = time(reader, "timeout").unwrap_or_default();
    let start_period = time(reader, "start_period").unwrap_or_default();
    let retries = table
        .get("retries")
        .and_then(|value| reader.integer(value, "retries", 1..=1000));
    table.finish(reader);
    let check = Healthcheck {
        test,
        interval,
        timeout,
        start_period,
        retries: retries.map_or(0, |retries: Spanned<u32>| retries.value),
    };
    Some(Spanned::new(check, value.span()))
}

/// A list may begin with Docker's own word for what follows.
fn in_dockers_words(words: Vec<String>) -> Option<Test> {
    match words.split_first() {
        Some((first, [])) if first == "CMD" || first == "CMD-SHELL" => None,
        Some((first, rest)) if first == "CMD" => Some(Test::Argv(rest.to_vec())),
        Some((first, rest)) if first == "CMD-SHELL" => Some(Test::Shell(rest.join(" "))),
        Some((first, [])) if first == "NONE" => None,
        Some(_) => Some(Test::Argv(words)),
        None => None,
    }
}

/// A signal by its name or number.
pub fn stop_signal(text: &str) -> Result<String, Wrong> {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let real_time = name.strip_prefix("RTMIN").map(|rest| match rest {
        "" => true,
        rest => rest
            .strip_prefix('+')
            .and_then(|it| it.parse().ok())
            .is_some_and(|it: u8| it <= 30),
    });
    let is_number = name.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    let is_known = || format!("SIG{name}").parse::<nix::sys::signal::Signal>().is_ok();
    match real_time.unwrap_or_else(|| is_number || is_known()) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(
            format!("there is no signal `{}`", text.escape_debug()),
            "name one as in signal(7): `SIGTERM`, `SIGRTMIN+3`, or its number",
        )),
    }
}

/// `[images]`: how registries are reached.
pub(super) fn images(reader: &mut Reader, value: &Value) -> Option<Spanned<ImagesSpec>> {
    let mut table = reader.table(value, "images", "images", "`[images]`", value.span())?;
    let mut images = ImagesSpec::default();
    if let Some(value) = table.get("mirrors") {
        let example = "mirrors = { \"docker.io\" = [\"mirror.example:5000\"] }";
        for (host, value) in reader.map(value, "mirrors", example) {
            if let Err(wrong) = registry(host.value) {
                reader.wrong(host.span, wrong);
                continue;
            }
            let list = reader.list(value, host.value, "\"mirror.example:5000\"", |reader, value| {
                reader.parsed(value, "mirrors", "mirror.example:5000", mirror)
            });
            let list = list.into_iter().flatten().map(|it| it.value).collect();
            images.mirrors.insert(host.value.to_owned(), list);
        }
    }
    if let Some(value) = table.get("insecure") {
        let list = reader.list(value, "insecure", "\"registry.example:5000\"", |reader, value| {
            reader.parsed(value, "insecure", "registry.example:5000", registry)
        });
        images.insecure = list.into_iter().flatten().map(|it| it.value).collect();
    }
    images.ca = table
        .get("ca")
        .and_then(|value| reader.string(value, "ca", "registry-ca.pem"));
    if let Some(value) = table.get("registry") {
        let example = "registry = { \"registry.example:5000\" = { ca = \"registry-ca.pem\" } }";
        for (host, value) in reader.map(value, "registry", example) {
            if let Err(wrong) = registry(host.value) {
                reader.wrong(host.span, wrong);
            } else if let Some(one) = one_registry(reader, value) {
                images.registry.insert(host.value.to_ascii_lowercase(), one);
            }
        }
    }
    table.finish(reader);
    Some(Spanned::new(images, value.span()))
}

/// What holds for one registry.
fn one_registry(reader: &mut Reader, value: &Value) -> Option<RegistrySpec> {
    let mut table = reader.table(
        value,
        "images.registry",
        "registry",
        "`[images.registry.HOST]`",
        value.span(),
    )?;
    let mut file = |reader: &mut Reader, key: &'static str, example: &str| {
        let value = table.get(key)?;
        reader.string(value, key, example)
    };
    let ca = file(reader, "ca", "registry-ca.pem");
    let cert = file(reader, "cert", "client.cert");
    let key = file(reader, "key", "client.key");
    let insecure = table
        .get("insecure")
        .and_then(|value| reader.boolean(value, "insecure"));
    let own = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            let message = "a certificate of one's own is two files, and only one is named";
            reader.wrong(one.span, Wrong::new(message, "write both `cert` and `key`"));
            None
        }
    };
    table.finish(reader);
    Some(RegistrySpec {
        insecure: insecure.is_some_and(|it| it.value),
        ca,
        own,
    })
}

/// Where a registry's images can be had as well: perhaps a scheme, a host, and perhaps a path there.
fn mirror(text: &str) -> Result<String, Wrong> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_path = path
        .bytes()
        .all(|c| c.is_ascii_alphanumeric() || b"._-/".contains(&c));
    match ["http", "https"].contains(&scheme) && is_path {
        true => registry(host).map(|_| text.to_owned()),
        false => Err(Wrong::new(
            format!("`{}` is no place of images", text.escape_debug()),
            "name a host, and a scheme or a path where they are not the usual ones: `http://mirror.example:5000/docker`",
        )),
    }
}

/// A registry's host, and perhaps its port.
fn registry(text: &str) -> Result<String, Wrong> {
    let good = !text.is_empty()
        && text.len() <= 255
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b".-:[]_".contains(&c));
    match good {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(
            format!("`{}` is no registry", text.escape_debug()),
            "name its host, and its port where that is not the usual one: `registry.example:5000`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name_and_number() {
        for good in ["SIGTERM", "TERM", "15", "SIGRTMIN+3", "RTMIN", "64"] {
            assert!(stop_signal(good).is_ok(), "{good}");
        }
        for bad in ["", "0", "65", "SIGNONSENSE", "SIGRTMIN+31", "RTMIN-1"] {
            assert!(stop_signal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_places_are_told_from_each_other() {
        assert_eq!(
            source("frr").map_err(|wrong| wrong.message),
            Ok(Source::Registry("frr".into()))
        );
        let place = source("dir:/srv/my root").map_err(|wrong| wrong.message);
        assert_eq!(place, Ok(Source::Directory("/srv/my root".into())));
        for empty in [
            "dir:",
            "oci:",
            "oci-archive:",
            "docker-archive:",
            "docker-daemon:",
        ] {
            assert!(source(empty).is_err(), "{empty}");
        }
        assert!(source("").is_err() && source("a b").is_err() && source("a\nb").is_err());
    }

    #[test]
    fn dockers_own_words_begin_a_test() {
        let words = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let argv = |list: &[&str]| Some(Test::Argv(words(list)));
        assert_eq!(in_dockers_words(words(&["CMD", "a", "b"])), argv(&["a", "b"]));
        assert_eq!(in_dockers_words(words(&["a", "b"])), argv(&["a", "b"]));
        assert_eq!(
            in_dockers_words(words(&["CMD-SHELL", "a | b"])),
            Some(Test::Shell("a | b".into()))
        );
        for list in [&["NONE"][..], &["CMD"], &["CMD-SHELL"], &[]] {
            assert_eq!(in_dockers_words(words(list)), None);
        }
    }
}

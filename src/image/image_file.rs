//! The configuration of an image, as it stands in the image (OCI image specification, "Image Configuration").

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::config::{Config, Healthcheck, Test};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{LONGEST, json};
use crate::platform::Platform;

/// What nslab takes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageFile {
    pub(crate) platform: Platform,
    pub(crate) created: Option<String>,
    pub(crate) config: Config,
    /// The digests of the layers' content, the bottom first.
    pub(crate) diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    variant: Option<String>,
    created: Option<String>,
    config: Option<RawConfig>,
    rootfs: Rootfs,
}

#[derive(Deserialize)]
struct Rootfs {
    #[serde(default)]
    diff_ids: Vec<Digest>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    healthcheck: Option<RawHealthcheck>,
    stop_signal: Option<String>,
    volumes: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    exposed_ports: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawHealthcheck {
    test: Option<Vec<String>>,
    interval: i64,
    timeout: i64,
    start_period: i64,
    retries: i64,
}

/// Reads the configuration of an image.
pub(crate) fn read(text: &[u8]) -> Result<ImageFile> {
    if text.len() as u64 > LONGEST {
        return Err(Error::wrong(format!(
            "the image's configuration is longer than {LONGEST} bytes"
        )));
    }
    let raw: Raw = json(text, "the image's configuration")?;
    Ok(ImageFile {
        platform: Platform {
            architecture: raw.architecture,
            os: raw.os,
            variant: raw.variant.filter(|it| !it.is_empty()),
        },
        created: raw.created,
        config: config(raw.config.unwrap_or_default()),
        diff_ids: raw.rootfs.diff_ids,
    })
}

fn config(raw: RawConfig) -> Config {
    let env = raw.env.unwrap_or_default().into_iter().filter_map(|it| {
        let (name, value) = it.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    Config {
        entrypoint: raw.entrypoint.unwrap_or_default(),
        cmd: raw.cmd.unwrap_or_default(),
        env: env.collect(),
        user: raw.user.unwrap_or_default(),
        workdir: raw.working_dir.unwrap_or_default(),
        healthcheck: raw.healthcheck.and_then(healthcheck),
        stop_signal: raw.stop_signal.filter(|it| !it.is_empty()),
        volumes: raw.volumes.unwrap_or_default().into_keys().collect(),
        exposed_ports: raw.exposed_ports.unwrap_or_default().into_keys().collect(),
        labels: raw.labels.unwrap_or_default(),
    }
}

/// An image's program is not asked more often than this, whatever the image says: each time nslab starts a process for it.
const SOONEST: Duration = Duration::from_millis(500);
/// Nor more seldom than once a day, and no check takes longer.
const LATEST: Duration = Duration::from_secs(24 * 3600);

/// No test at all, in Docker's words, is that of an image below; builders have put that one here already.
fn healthcheck(raw: RawHealthcheck) -> Option<Healthcheck> {
    let mut words = raw.test?.into_iter();
    let kind = words.next()?;
    let test = match kind.as_str() {
        "NONE" => None,
        "CMD-SHELL" => Some(Test::Shell(words.collect::<Vec<_>>().join(" "))),
        "CMD" => Some(Test::Argv(words.collect())),
        // Podman writes images whose word for it is left out.
        _ => Some(Test::Argv(std::iter::once(kind).chain(words).collect())),
    };
    // Zero stands for Docker's own.
    let time = |nanoseconds: i64| match u64::try_from(nanoseconds).unwrap_or(0) {
        0 => Duration::ZERO,
        some => Duration::from_nanos(some).clamp(SOONEST, LATEST),
    };
    Some(Healthcheck {
        test,
        interval: time(raw.interval),
        timeout: time(raw.timeout),
        start_period: time(raw.start_period),
        retries: u32::try_from(raw.retries).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_writes_is_read() {
        let file = read(
            br#"{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin","A=b=c"],"Cmd":["sh"],"Entrypoint":null,
            "User":"1000:frr","WorkingDir":"/x","ExposedPorts":{"179/tcp":{}},"Volumes":{"/v":{}},"StopSignal":"SIGINT",
            "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":1000000000,"Retries":3},"Labels":null},
            "rootfs":{"type":"layers","diff_ids":[]},"history":[{}]}"#,
        )
        .unwrap();
        let config = file.config;
        assert_eq!(config.env["A"], "b=c");
        assert_eq!((config.cmd, config.entrypoint), (vec!["sh".to_owned()], vec![]));
        assert_eq!(config.volumes, ["/v"]);
        let check = config.healthcheck.unwrap();
        assert_eq!(check.test, Some(Test::Shell("true".to_owned())));
        assert_eq!((check.interval, check.retries), (Duration::from_secs(1), 3));
    }

    #[test]
    fn an_image_does_not_say_how_much_work_its_check_is() {
        let read = |interval: i64, timeout: i64, retries: i64| {
            let text = format!(
                r#"{{"config":{{"Healthcheck":{{"Test":["CMD","true"],"Interval":{interval},"Timeout":{timeout},
                "StartPeriod":{timeout},"Retries":{retries}}}}},"rootfs":{{}}}}"#
            );
            read(text.as_bytes()).unwrap().config.healthcheck.unwrap()
        };
        for (interval, wanted) in [
            (1, SOONEST),
            (1_000_000, SOONEST),
            (2_000_000_000, Duration::from_secs(2)),
            (i64::MAX, LATEST),
            (0, Duration::ZERO),
            (-1, Duration::ZERO),
            (i64::MIN, Duration::ZERO),
        ] {
            assert_eq!(read(interval, 0, 1).interval, wanted, "{interval}");
        }
        let check = read(1, i64::MAX, i64::MAX);
        assert_eq!(
            (check.timeout, check.start_period, check.retries),
            (LATEST, LATEST, 0)
        );
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"rootfs":{"diff_ids":["x"]}}"#,
            r#"{"rootfs":{},"config":{"Env":"x"}}"#,
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}

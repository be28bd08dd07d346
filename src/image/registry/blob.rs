//! Brings a content from a registry into a file: in pieces if need be, and only if it is what it should be.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::Endpoint;
use super::exchange::Session;
use super::http_client::Trouble;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Kind, Result};

/// Attempts that bring at least so much do not count.
const WORTHWHILE: u64 = 256 << 10;
/// But there are no more than so many.
const MOST_ATTEMPTS: u32 = 50;

/// A content of a registry.
pub(crate) struct Blob<'a> {
    /// Where it can be had, the best place first.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) digest: &'a Digest,
    pub(crate) size: u64,
}

/// A file that is on its way: what it has, and the digest of that.
pub(crate) struct Sink {
    file: File,
    hasher: Hasher,
    length: u64,
}

impl Sink {
    /// Goes on with what an earlier attempt brought, unless it is too long already.
    pub(crate) fn resume(mut file: File, size: u64) -> io::Result<Self> {
        let mut hasher = Hasher::default();
        let mut length = 0;
        if file.metadata()?.len() > size {
            file.set_len(0)?;
        }
        file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            length += count as u64;
        }
        Ok(Sink { file, hasher, length })
    }

    /// How much there is.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Adds a piece.
    pub(crate) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.hasher.update(piece);
        self.length += piece.len() as u64;
        Ok(())
    }

    /// Begins anew.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Hasher::default();
        self.length = 0;
        Ok(())
    }

    /// Its digest so far.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Makes it outlive a loss of power.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Session<'_> {
    /// Brings a content into a file. `progress` is told how much the file has.
    pub(crate) async fn fetch(
        &self,
        blob: &Blob<'_>,
        sink: &mut Sink,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let what = format!("layer {}", blob.digest.short());
        let mut result = Ok(());
        for endpoint in &blob.endpoints {
            result = self.fetch_from(endpoint, blob, sink, progress).await;
            match &result {
                // A disk does not get better by another registry.
                Err(error) if error.kind == Kind::Disk => break,
                Err(_) => {}
                Ok(()) => break,
            }
        }
        result.map_err(|error| error.of(what))
    }

    async fn fetch_from(
        &self,
        endpoint: &Endpoint,
        blob: &Blob<'_>,
        sink: &mut Sink,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut failures = 0;
        // What an earlier attempt left may be to blame when the whole is wrong.
        let mut has_leftover = sink.length > 0;
        for _ in 0..MOST_ATTEMPTS {
            let before = sink.length;
            match self.attempt(endpoint, blob, sink, progress).await {
                Ok(()) if sink.digest() == *blob.digest => return Ok(()),
                Ok(()) => {
                    restart(sink)?;
                    progress(0);
                    if !std::mem::take(&mut has_leftover) {
                        let message = "gives a content that has not the digest";
                        return Err(Error::host(format!(
                            "{} {message} {}",
                            endpoint.host, blob.digest
                        )));
                    }
                }
                Err(Trouble::Lasting(error) | Trouble::NoBeginning(error)) => return Err(error),
                Err(Trouble::Passing(error, asked)) => {
                    failures = match sink.length >= before + WORTHWHILE {
                        true => 1,
                        false => failures + 1,
                    };
                    self.pause(error, asked, failures).await?;
                }
            }
        }
        Err(Error::host(format!(
            "{} breaks off again and again",
            endpoint.host
        )))
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        blob: &Blob<'_>,
        sink: &mut Sink,
        progress: &mut dyn FnMut(u64),
    ) -> std::result::Result<(), Trouble> {
        if sink.length == blob.size {
            return Ok(());
        }
        let path = format!("blobs/{}", blob.digest);
        let from = (sink.length > 0).then_some(sink.length);
        let answer = match self.get(endpoint, &path, &[], from).await {
            Err(trouble) if from.is_some() && matches!(trouble, Trouble::NoBeginning(_)) => {
                restart(sink)?;
                return Err(Trouble::Passing(trouble.error(), None));
            }
            other => other?,
        };
        let host = &endpoint.host;
        let rest = match (answer.status(), from) {
            (StatusCode::PARTIAL_CONTENT, Some(from)) => {
                check_range(host, answer.headers(), from, blob.size)?;
                blob.size - from
            }
            (StatusCode::OK, _) => {
                if from.is_some() {
                    restart(sink)?;
                    progress(0);
                }
                blob.size
            }
            (status, _) => {
                return Err(Trouble::Lasting(Error::host(format!(
                    "{host} answers {status} to a download"
                ))));
            }
        };
        if let Some(length) = number(answer.headers(), &CONTENT_LENGTH)
            && length != rest
        {
            let message = format!("{host} has {length} bytes where the manifest says {rest}");
            return Err(Trouble::Lasting(Error::host(message)));
        }
        self.take(host, answer.into_body(), blob.size, sink, progress)
            .await
    }

    /// Takes what comes, as long as enough of it comes.
    async fn take(
        &self,
        host: &str,
        mut body: Incoming,
        size: u64,
        sink: &mut Sink,
        progress: &mut dyn FnMut(u64),
    ) -> std::result::Result<(), Trouble> {
        let timing = &self.http.timing;
        let slow = || Trouble::Passing(Error::host(format!("{host} is too slow")), None);
        let (mut window, mut in_window) = (Instant::now(), 0);
        loop {
            let frame = match timeout(timing.stall, body.frame()).await {
                Err(_) => return Err(slow()),
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    let message = format!("{host} breaks off: {error}");
                    return Err(Trouble::Passing(Error::host(message), None));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            if sink.length + data.len() as u64 > size {
                let message = format!("{host} gives more than the {size} bytes that the manifest says");
                restart(sink)?;
                return Err(Trouble::Lasting(Error::host(message)));
            }
            sink.write(&data).map_err(|error| unwritten(&error))?;
            progress(sink.length);
            in_window += data.len() as u64;
            if window.elapsed() > timing.window {
                if in_window < timing.least {
                    return Err(slow());
                }
                (window, in_window) = (Instant::now(), 0);
            }
        }
        match sink.length == size {
            true => Ok(()),
            false => {
                let message = format!("{host} breaks off after {} of {size} bytes", sink.length);
                Err(Trouble::Passing(Error::host(message), None))
            }
        }
    }
}

fn restart(sink: &mut Sink) -> Result<()> {
    sink.restart().map_err(|error| unwritten(&error))
}

fn unwritten(error: &io::Error) -> Error {
    Error {
        kind: Kind::Disk,
        ..Error::io("write the layer", error)
    }
}

/// A piece has to be the one that was asked for.
fn check_range(host: &str, headers: &HeaderMap, from: u64, size: u64) -> std::result::Result<(), Trouble> {
    let text = headers
        .get(CONTENT_RANGE)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let range = text
        .trim()
        .strip_prefix("bytes ")
        .and_then(|it| it.split_once('/'));
    let is_right = range.is_some_and(|(range, whole)| {
        let first = range.split('-').next().and_then(|it| it.parse().ok());
        first == Some(from) && (whole == "*" || whole.parse() == Ok(size))
    });
    match is_right {
        true => Ok(()),
        false => Err(Trouble::Lasting(Error::host(format!(
            "{host} gives the piece `{}` where the one from {from} of {size} was asked for",
            crate::manifest::shown(text)
        )))),
    }
}

fn number(headers: &HeaderMap, name: &http::HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

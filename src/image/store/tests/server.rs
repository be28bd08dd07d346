//! A registry in this process, which does wrong what a test wants.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::digest::Digest;
use crate::manifest::{CONFIG, INDEX, LAYER, MANIFEST};

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    /// How often this path was asked for before.
    pub(super) before: usize,
}

/// What is answered.
#[derive(Clone, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The length that is told, where it is not the body's.
    pub(super) length: Option<usize>,
    /// After so many bytes the connection ends.
    pub(super) cut: Option<usize>,
    /// After so many bytes there is nothing for long.
    pub(super) stall: Option<usize>,
}

impl Reply {
    pub(super) fn status(status: u16) -> Reply {
        Reply {
            status,
            ..Reply::default()
        }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Fault = Box<dyn Fn(&Asked) -> Option<Reply> + Send + Sync>;

/// The contents, and what happens in place of giving them out.
pub(super) struct Server {
    pub(super) host: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// By path behind `/v2/`: kind and content.
    contents: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
    asked: Mutex<Vec<Asked>>,
    fault: Mutex<Option<Fault>>,
    ranges: Mutex<bool>,
}

impl Server {
    pub(super) fn new() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::default());
        *state.ranges.lock().unwrap() = true;
        let own = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = own.clone();
                std::thread::spawn(move || drop(serve(&stream, &state)));
            }
        });
        Server { host, state }
    }

    /// What happens in place of a right answer, where it returns something.
    pub(super) fn fault(&self, fault: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) {
        *self.state.fault.lock().unwrap() = Some(Box::new(fault));
    }

    pub(super) fn without_ranges(&self) {
        *self.state.ranges.lock().unwrap() = false;
    }

    pub(super) fn put(&self, path: &str, kind: &str, content: &[u8]) {
        let value = (kind.to_owned(), content.to_owned());
        self.state.contents.lock().unwrap().insert(path.to_owned(), value);
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    pub(super) fn asked_for(&self, part: &str) -> usize {
        self.asked().iter().filter(|it| it.path.contains(part)).count()
    }

    pub(super) fn forget(&self) {
        self.state.asked.lock().unwrap().clear();
    }

    pub(super) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host)
    }

    /// Puts an image there, with these layers (tar streams), as a manifest and in an index.
    pub(super) fn image(&self, repository: &str, tag: &str, layers: &[Vec<u8>]) -> Image {
        let config = config(&layers.iter().map(|it| Digest::of(it)).collect::<Vec<_>>());
        let compressed: Vec<Vec<u8>> = layers
            .iter()
            .map(|it| zstd::encode_all(it.as_slice(), 1).unwrap())
            .collect();
        let kind = format!("{LAYER}+zstd");
        let manifest = manifest(MANIFEST, CONFIG, &config, &kind, &compressed);
        for content in compressed.iter().chain([&config]) {
            self.put(
                &format!("{repository}/blobs/{}", Digest::of(content)),
                "application/octet-stream",
                content,
            );
        }
        self.document(repository, tag, MANIFEST, &manifest);
        let host = crate::platform::Platform::host();
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": Digest::of(b"x"), "size": 1, "platform": {"os": "linux", "architecture": "mips"}},
            {"mediaType": MANIFEST, "digest": Digest::of(&manifest), "size": manifest.len(), "platform": host},
        ]});
        let index = serde_json::to_vec(&index).unwrap();
        self.document(repository, &format!("{tag}-index"), INDEX, &index);
        Image {
            layers: compressed,
            manifest,
            index,
        }
    }

    pub(super) fn document(&self, repository: &str, tag: &str, kind: &str, content: &[u8]) {
        for name in [tag, Digest::of(content).as_str()] {
            self.put(&format!("{repository}/manifests/{name}"), kind, content);
        }
    }
}

/// What was put there.
pub(super) struct Image {
    pub(super) layers: Vec<Vec<u8>>,
    pub(super) manifest: Vec<u8>,
    pub(super) index: Vec<u8>,
}

pub(super) fn config(diff_ids: &[Digest]) -> Vec<u8> {
    let host = crate::platform::Platform::host();
    let config = serde_json::json!({
        "architecture": host.architecture, "os": "linux", "config": {"Cmd": ["sh"], "Env": ["A=b"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    serde_json::to_vec(&config).unwrap()
}

pub(super) fn manifest(
    kind: &str,
    config_kind: &str,
    config: &[u8],
    layer_kind: &str,
    layers: &[Vec<u8>],
) -> Vec<u8> {
    let descriptor = |kind: &str, content: &[u8]| serde_json::json!({"mediaType": kind, "digest": Digest::of(content), "size": content.len()});
    let layers: Vec<_> = layers.iter().map(|it| descriptor(layer_kind, it)).collect();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": kind, "config": descriptor(config_kind, config), "layers": layers,
    });
    serde_json::to_vec(&manifest).unwrap()
}

fn serve(stream: &TcpStream, state: &State) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if !line.starts_with("GET ") && !line.starts_with("POST ") {
            // A greeting of TLS.
            let mut stream = stream;
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
        let asked = line.split(' ').nth(1).unwrap_or_default();
        let mut headers = BTreeMap::new();
        // Who is asked as a proxy is told the whole address.
        let whole = asked.strip_prefix("http://").and_then(|it| it.split_once('/'));
        let path = match whole {
            Some((host, path)) => {
                headers.insert("proxy-for".to_owned(), host.to_owned());
                format!("/{path}")
            }
            None => asked.to_owned(),
        };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
                None => break,
            }
        }
        let mut body = vec![0; headers.get("content-length").map_or(0, |it| it.parse().unwrap())];
        std::io::Read::read_exact(&mut reader, &mut body)?;
        let asked = {
            let mut all = state.asked.lock().unwrap();
            let before = all.iter().filter(|it| it.path == path).count();
            let asked = Asked {
                path,
                headers,
                before,
            };
            all.push(asked.clone());
            asked
        };
        let fault = state.fault.lock().unwrap().as_ref().and_then(|it| it(&asked));
        if !answer(stream, fault.unwrap_or_else(|| right(&asked, state)))? {
            return Ok(());
        }
    }
}

/// What a registry answers.
fn right(asked: &Asked, state: &State) -> Reply {
    let path = asked.path.strip_prefix("/v2/").unwrap_or(&asked.path);
    let Some((kind, content)) = state.contents.lock().unwrap().get(path).cloned() else {
        return Reply::status(if path.is_empty() { 200 } else { 404 });
    };
    let reply = Reply {
        body: content.clone(),
        ..Reply::status(200).with("Content-Type", &kind)
    };
    let from = asked
        .headers
        .get("range")
        .and_then(|it| it.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match from.filter(|_| *state.ranges.lock().unwrap()) {
        Some(from) if from < content.len() => Reply {
            status: 206,
            body: content[from..].to_vec(),
            ..reply.with(
                "Content-Range",
                &format!("bytes {from}-{}/{}", content.len() - 1, content.len()),
            )
        },
        Some(_) => Reply::status(416),
        None => reply,
    }
}

/// Returns whether the connection goes on.
fn answer(mut stream: &TcpStream, reply: Reply) -> std::io::Result<bool> {
    let length = reply.length.unwrap_or(reply.body.len());
    let mut head = format!("HTTP/1.1 {} Word\r\nContent-Length: {length}\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    let end = reply
        .cut
        .or(reply.stall)
        .unwrap_or(reply.body.len())
        .min(reply.body.len());
    stream.write_all(&reply.body[..end])?;
    if reply.stall.is_some() {
        std::thread::sleep(Duration::from_secs(5));
    }
    Ok(reply.cut.is_none() && reply.stall.is_none())
}

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::manifest::{CONFIG, LAYER, MANIFEST, MOST_LAYERS};
use crate::registry::credentials::Files;
use crate::registry::{Proxies, Timing};

mod files;
mod pulls;
mod reached;
mod server;

use server::{Reply, Server, config, manifest};

/// A store in a directory of its own, with little patience.
struct Scene {
    directory: tempfile::TempDir,
    store: Store,
    registries: Registries,
}

fn store(directory: &Path) -> Store {
    let mut store = Store::open(&directory.join("store")).unwrap();
    store.network = Network {
        timing: Timing {
            connect: Duration::from_secs(5),
            stall: Duration::from_millis(500),
            window: Duration::from_secs(1),
            pause: Duration::from_millis(10),
            longest_pause: Duration::from_secs(2),
            ..Timing::default()
        },
        credentials: Files::default(),
        proxies: Some(Proxies::default()),
        certificates: Vec::new(),
    };
    store
}

impl Scene {
    fn new() -> Scene {
        let directory = tempfile::tempdir().unwrap();
        Scene {
            store: store(directory.path()),
            directory,
            registries: Registries::default(),
        }
    }

    fn ensure(&self, name: &str, pull: Pull) -> Result<Image> {
        self.store
            .ensure(&name.parse().unwrap(), pull, &self.registries, &|_| {})
    }

    fn pull(&self, name: &str) -> Result<Image> {
        self.ensure(name, Pull::Missing)
    }

    /// What is wrong with a pull.
    fn refusal(&self, name: &str) -> Error {
        let error = self.pull(name).unwrap_err();
        assert_eq!(self.count("layers"), 0, "{error}");
        assert_eq!(self.count("tmp"), 0, "{error}");
        error
    }

    fn count(&self, below: &str) -> usize {
        fs::read_dir(self.store.path().join(below)).unwrap().count()
    }
}

/// A layer with one file.
fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive.append_data(&mut header, name, content).unwrap();
    archive.into_inner().unwrap()
}

/// Bytes that nothing compresses.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..count / 8).flat_map(|_| next()).collect()
}

fn file(image: &Image, layer: usize, name: &str) -> Vec<u8> {
    fs::read(image.layers[layer].join(name)).unwrap()
}

//! Who has which addresses: a directory with a file an attachment, under a lock.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::answer::{Fault, Result};
use super::configuration::{Attachment, Configuration};
use crate::lab::pod_cidr::machine;

/// How names of interfaces on the node begin; as Cilium's do.
const PREFIX: &str = "lxc";
/// How many digits follow.
const DIGITS: usize = 12;
const ENDING: &str = ".json";

/// What an attachment has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The interface on the node.
    pub interface: String,
    /// Its addresses in the pod, one of each network, each alone.
    pub addresses: Vec<IpNet>,
    /// The pod's network namespace, by its path in the node.
    pub namespace: PathBuf,
    /// The pod, `namespace/name`.
    pub pod: Option<String>,
    /// Whether all of it is made.
    #[serde(default)]
    pub wired: bool,
}

/// The directory, locked for as long as this lives.
pub struct Store {
    directory: PathBuf,
    _lock: File,
}

impl Store {
    /// Opens it, once nobody else has it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(directory: &Path) -> Result<Store> {
        let open = || -> io::Result<File> {
            fs::create_dir_all(directory)?;
            let mut options = File::options();
            let lock = options.write(true).create(true).truncate(false).mode(0o600);
            let lock = lock.open(directory.join("lock"))?;
            flock(&lock, FlockOperation::LockExclusive)?;
            Ok(lock)
        };
        let lock =
            open().map_err(|error| Fault::io(format!("cannot open {}: {error}", directory.display())))?;
        Ok(Store {
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    fn path(&self, attachment: &Attachment) -> PathBuf {
        // No name of an interface has a slash or a colon.
        let name = format!("{}:{}{ENDING}", attachment.container, attachment.interface);
        self.directory.join(name)
    }

    /// What an attachment has, if it is known.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn get(&self, attachment: &Attachment) -> Result<Option<Place>> {
        read(&self.path(attachment))
    }

    /// Notes what an attachment has, in one step.
    ///
    /// # Errors
    /// No space is left.
    pub fn put(&self, attachment: &Attachment, place: &Place) -> Result<()> {
        let path = self.path(attachment);
        let write = || -> io::Result<()> {
            let new = self.directory.join("new");
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec(place)?)?;
            fs::rename(&new, &path)
        };
        write().map_err(|error| Fault::io(format!("cannot write {}: {error}", path.display())))
    }

    /// Forgets an attachment.
    ///
    /// # Errors
    /// Its file cannot be removed.
    pub fn remove(&self, attachment: &Attachment) -> Result<()> {
        let path = self.path(attachment);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Fault::io(format!("cannot remove {}: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// All that are known.
    ///
    /// # Errors
    /// The directory or a file in it cannot be read.
    pub fn all(&self) -> Result<Vec<(Attachment, Place)>> {
        let unread =
            |error: io::Error| Fault::io(format!("cannot read {}: {error}", self.directory.display()));
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((container, interface)) =
                name.strip_suffix(ENDING).and_then(|name| name.rsplit_once(':'))
            else {
                continue;
            };
            let Some(place) = read(&entry.path())? else {
                continue;
            };
            let attachment = Attachment {
                container: container.to_owned(),
                interface: interface.to_owned(),
                namespace: place.namespace.clone(),
                pod: place.pod.clone(),
            };
            all.push((attachment, place));
        }
        Ok(all)
    }

    /// Addresses and a name for a new attachment: those that are reserved for its pod, else the lowest that nobody has.
    ///
    /// # Errors
    /// A network has no address left.
    pub fn place(&self, configuration: &Configuration, attachment: &Attachment) -> Result<Place> {
        let all = self.all()?;
        let mut taken: BTreeSet<IpAddr> = all
            .iter()
            .flat_map(|(_, it)| &it.addresses)
            .map(IpNet::addr)
            .collect();
        let own = attachment
            .pod
            .as_ref()
            .and_then(|pod| configuration.reserved.get(pod));
        for (pod, addresses) in &configuration.reserved {
            if Some(pod) != attachment.pod.as_ref() {
                taken.extend(addresses.iter().map(IpNet::addr));
            }
        }
        let addresses = configuration.networks.iter().map(|net| {
            let reserved = own.into_iter().flatten().find(|it| net.contains(&it.addr()));
            let reserved = reserved
                .filter(|it| !taken.contains(&it.addr()))
                .map(|it| it.addr().into());
            let free = || {
                (2..)
                    .map_while(|number| machine(net, number))
                    .find(|it| !taken.contains(&it.addr()))
            };
            let none = || Fault::unavailable(format!("there is no address left in {net}"));
            reserved.or_else(free).ok_or_else(none)
        });
        Ok(Place {
            interface: name(attachment),
            addresses: addresses.collect::<Result<_>>()?,
            namespace: attachment.namespace.clone(),
            pod: attachment.pod.clone(),
            wired: false,
        })
    }

    /// Interfaces on the node that attachments made of which nothing is known any more: the node was started again, and what
    /// was known went with its files.
    ///
    /// # Errors
    /// As [`Store::all`].
    pub fn forgotten<'a>(&self, interfaces: impl Iterator<Item = &'a str>) -> Result<Vec<&'a str>> {
        let known: BTreeSet<String> = self.all()?.into_iter().map(|(_, it)| it.interface).collect();
        let is_ours = |name: &&str| {
            let digits = name.strip_prefix(PREFIX);
            digits.is_some_and(|it| it.len() == DIGITS && it.bytes().all(|it| it.is_ascii_hexdigit()))
        };
        Ok(interfaces
            .filter(is_ours)
            .filter(|name| !known.contains(*name))
            .collect())
    }
}

/// The interface on the node: twelve digits that hang on the container and the interface in it.
fn name(attachment: &Attachment) -> String {
    // FNV-1a: the same whenever it is asked for.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in attachment
        .container
        .bytes()
        .chain([b':'])
        .chain(attachment.interface.bytes())
    {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{PREFIX}{:0DIGITS$x}", hash & 0xffff_ffff_ffff)
}

fn read(path: &Path) -> Result<Option<Place>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::io(format!("cannot read {}: {error}", path.display()))),
    };
    let place = serde_json::from_slice(&text);
    place.map_err(|error| Fault::io(format!("{} is damaged: {error}", path.display())))
}

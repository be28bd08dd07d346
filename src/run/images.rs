//! The images that a lab's nodes are: made ready before the lab is planned, and kept for as long as it lives.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::failure::Failure;
use crate::image::source::{Pull, Registries, Registry, Source};
use crate::image::store::{self, Lease, Progress, Store};
use crate::kernel::error::Attempt;
use crate::kernel::rootless::is_rootless;
use crate::lab::Lab;
use crate::lab::model::Image;
use crate::lab::plan::{ImageFacts, Plan};

/// Images that are ready to be nodes.
#[derive(Debug, Default)]
pub struct Ready {
    /// What is known of them.
    pub facts: BTreeMap<Source, ImageFacts>,
    /// What keeps them in the store until the lab does.
    pub leases: Vec<Lease>,
}

/// Makes the images of a lab ready: what is missing is pulled and unpacked. `progress` hears of that, in this thread.
///
/// # Errors
/// An image is not to be had, or damaged.
pub fn ready(lab: &Lab, progress: &dyn Fn(Progress)) -> Result<Ready, Failure> {
    let mut ready = Ready::default();
    let mut store = None;
    let images = || lab.nodes.iter().filter_map(|node| node.image.as_ref());
    // Of nodes that are the same image, the one that asks the most decides for all.
    let mut pulls: BTreeMap<&Source, Pull> = BTreeMap::new();
    for image in images() {
        let pull = pulls.entry(&image.source).or_insert(image.pull);
        *pull = [Pull::Always, Pull::Missing, Pull::Never]
            .into_iter()
            .find(|it| [*pull, image.pull].contains(it))
            .unwrap_or(image.pull);
    }
    for (name, image) in lab
        .nodes
        .iter()
        .filter_map(|node| Some((&node.name, node.image.as_ref()?)))
    {
        let image = &Image {
            pull: pulls.get(&image.source).copied().unwrap_or(image.pull),
            ..image.clone()
        };
        if ready.facts.contains_key(&image.source) {
            continue;
        }
        let store = match &store {
            Some(store) => store,
            None => store.insert(Store::open(&Store::usual_place())?),
        };
        let found = bring(store, image, &lab.registries, progress).map_err(|failure| Failure {
            message: format!("the image of {name}: {}", failure.message),
            help: failure.help.clone().or_else(|| elsewhere(&image.source)),
            ..failure
        })?;
        let store::Image {
            digest,
            config,
            layers,
            lease,
            ..
        } = found;
        let facts = ImageFacts {
            digest,
            config,
            layers,
        };
        ready.facts.insert(image.source.clone(), facts);
        ready.leases.push(lease);
    }
    Ok(ready)
}

/// What is left to do where a registry does not have an image, and has not said why.
fn elsewhere(source: &Source) -> Option<String> {
    let Source::Registry(name) = source else {
        return None;
    };
    Some(format!(
        "one that was built on this machine is `docker-daemon:{name}`; for an imported topology `--image-map {name}=tools` has this \
         machine's programs in its place, and `--image-map {name}=frr` its FRR"
    ))
}

/// Brings the images that a cluster's nodes are to have into the store, and adds them to those that come from files.
///
/// # Errors
/// As [`ready`].
pub fn for_cluster(lab: &mut Lab, progress: &dyn Fn(Progress)) -> Result<Vec<Lease>, Failure> {
    let runs_kubelets = lab.nodes.iter().any(|node| node.engine.is_kubernetes());
    let sources = std::mem::take(&mut lab.cluster.pulled);
    let mut leases = Vec::new();
    if sources.is_empty() || !runs_kubelets {
        return Ok(leases);
    }
    let store = Store::open(&Store::usual_place())?;
    for source in sources {
        let image = store.ensure(&source, Pull::Missing, &lab.registries, progress)?;
        lab.cluster.images.push(store.archive(&image)?);
        leases.push(image.lease);
    }
    Ok(leases)
}

/// Brings an image into the store, unless it is there.
fn bring(
    store: &Store,
    image: &Image,
    registries: &Registries,
    progress: &dyn Fn(Progress),
) -> Result<store::Image, Failure> {
    let Image { source, pull, .. } = image;
    if let Source::Directory(root) = source
        && fs::canonicalize(root).is_ok_and(|root| root == Path::new("/"))
    {
        return Err(Failure::wrong("the host's own root is no image")
            .help("a node without `image` has the host's programs, and not what the host keeps to itself"));
    }
    if !is_rootless() || matches!(source, Source::Directory(_)) {
        return Ok(store.ensure(source, *pull, registries, progress)?);
    }
    // What is in a file may have changed.
    let may_be_there =
        *pull == Pull::Never || (*pull == Pull::Missing && matches!(source, Source::Registry(_)));
    let found = may_be_there.then(|| store.ensure(source, Pull::Never, registries, progress));
    match found {
        Some(Ok(image)) => Ok(image),
        Some(Err(error)) if *pull == Pull::Never => Err(error.into()),
        _ => {
            pull_as_root(image, registries)?;
            Ok(store.ensure(source, Pull::Never, registries, progress)?)
        }
    }
}

/// Files of an image belong to many users: those that are set aside for this one, for whom a process of its own is root.
fn pull_as_root(image: &Image, registries: &Registries) -> Result<(), Failure> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("nslab").args(["image", "pull"]);
    if image.pull == Pull::Missing {
        command.arg("--missing");
    }
    for host in &registries.insecure {
        command.args(["--insecure", host]);
    }
    if let Some(ca) = &registries.ca {
        command.arg("--ca").arg(ca);
    }
    for (host, Registry { ca, cert, key }) in &registries.registry {
        let of_host = |paths: &[&PathBuf]| {
            let mut word = OsString::from(format!("{host}="));
            for (at, path) in paths.iter().enumerate() {
                if at > 0 {
                    word.push(",");
                }
                word.push(path);
            }
            word
        };
        if let Some(ca) = ca {
            command.arg("--ca").arg(of_host(&[ca]));
        }
        if let (Some(cert), Some(key)) = (cert, key) {
            command.arg("--client").arg(of_host(&[cert, key]));
        }
    }
    for (registry, places) in &registries.mirrors {
        for place in places {
            command.arg("--mirror").arg(format!("{registry}={place}"));
        }
    }
    let status = command
        .arg("--")
        .arg(image.source.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .attempt(|| "start nslab image pull")?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::host(format!(
            "{} is not to be had: see above",
            image.source
        ))),
    }
}

/// Holds the images of a plan until what is returned is dropped.
///
/// # Errors
/// One has gone from the store since it was made ready.
pub fn hold(plan: &Plan) -> Result<Vec<File>, Failure> {
    let held = plan.leases.iter().map(|path| {
        let what = || format!("keep an image of the lab ({})", path.display());
        let file = File::open(path).attempt(what)?;
        flock(&file, FlockOperation::NonBlockingLockShared)
            .map_err(std::io::Error::from)
            .attempt(what)?;
        Ok(file)
    });
    held.collect()
}

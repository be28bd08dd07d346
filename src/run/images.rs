//! The images that a lab's nodes are: made ready before the lab is planned, and kept for as long as it lives.

use std::collections::BTreeMap;
use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use crate::failure::Failure;
use crate::image::source::Source;
use crate::image::store::{self, Lease, Progress, Store};
use crate::kernel::error::Attempt;
use crate::lab::Lab;
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
    for (name, image) in lab
        .nodes
        .iter()
        .filter_map(|node| Some((&node.name, node.image.as_ref()?)))
    {
        if ready.facts.contains_key(&image.source) {
            continue;
        }
        let store = match &store {
            Some(store) => store,
            None => store.insert(Store::open(&Store::usual_place())?),
        };
        let found = store.ensure(&image.source, image.pull, &lab.registries, progress);
        let found = found.map_err(|error| {
            let mut failure = Failure::from(error);
            failure.message = format!("the image of {name}: {}", failure.message);
            failure
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
            lease: Some(lease.path()?),
        };
        ready.facts.insert(image.source.clone(), facts);
        ready.leases.push(lease);
    }
    Ok(ready)
}

/// Holds the images of a plan until what is returned is dropped.
///
/// # Errors
/// One has gone from the store since it was made ready.
pub fn hold(plan: &Plan) -> Result<Vec<File>, Failure> {
    let images = plan.nodes.iter().filter_map(|node| node.image.as_ref());
    let leases: BTreeMap<_, _> = images
        .filter_map(|image| Some((image.lease.as_ref()?, image)))
        .collect();
    let held = leases.into_iter().map(|(path, image)| {
        let what = || format!("keep the image {}", image.name);
        let file = File::open(path).attempt(what)?;
        flock(&file, FlockOperation::NonBlockingLockShared)
            .map_err(std::io::Error::from)
            .attempt(what)?;
        Ok(file)
    });
    held.collect()
}

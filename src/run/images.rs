//! The images that a lab's nodes are: made ready before the lab is planned, and kept for as long as it lives.

use std::collections::BTreeMap;
use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use crate::failure::Failure;
use crate::image::source::Source;
use crate::kernel::error::Attempt;
use crate::lab::Lab;
use crate::lab::model::Image;
use crate::lab::plan::{ImageFacts, Plan};

/// Makes the images of a lab ready: what is missing is pulled and unpacked.
///
/// # Errors
/// An image is not to be had, or damaged.
pub fn ready(lab: &Lab) -> Result<BTreeMap<Source, ImageFacts>, Failure> {
    let mut images = BTreeMap::new();
    for image in lab.nodes.iter().filter_map(|node| node.image.as_ref()) {
        if !images.contains_key(&image.source) {
            images.insert(image.source.clone(), one(image)?);
        }
    }
    Ok(images)
}

fn one(image: &Image) -> Result<ImageFacts, Failure> {
    match &image.source {
        Source::Directory(root) => Ok(ImageFacts {
            layers: vec![root.clone()],
            ..ImageFacts::default()
        }),
        other => Err(Failure::host(format!("cannot take {other}"))),
    }
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

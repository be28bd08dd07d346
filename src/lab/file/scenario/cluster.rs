//! Steps that apply and delete objects of the cluster.

use crate::file::reader::{Reader, Table, Value};
use crate::model::Manifest;
use crate::scenario::Step;

pub(super) fn apply(reader: &mut Reader, value: &Value, _: &mut Table) -> Option<Step> {
    Some(Step::Apply(manifest(reader, value, "apply")?))
}

pub(super) fn delete(reader: &mut Reader, value: &Value, _: &mut Table) -> Option<Step> {
    Some(Step::Delete(manifest(reader, value, "delete")?))
}

/// A file, whose text is read when the lab is resolved.
fn manifest(reader: &mut Reader, value: &Value, key: &'static str) -> Option<Manifest> {
    let name = reader.string(value, key, "policy.yaml")?.value;
    Some(Manifest {
        name,
        text: String::new(),
    })
}

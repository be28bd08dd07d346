//! What is written to the API server.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::discovery::Scope;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Status;
use super::mirror::{Mirror, Source};
use crate::cilium::manifest::NAMESPACE;
use crate::cilium::{Applied, Kind, Outcome, Reference};

/// An object that was written: what became of it, and its version from then on, if it is there.
pub struct Written {
    pub applied: Applied,
    pub version: Option<String>,
}

pub fn api(client: &Client, reference: &Reference) -> Api<DynamicObject> {
    let resource = Source::Kind(reference.kind).resource();
    match reference.namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

/// Which object a manifest is about.
pub fn reference(object: &Value) -> Option<Reference> {
    let kind = Kind::of(object["kind"].as_str()?)?;
    let namespace = match kind.is_namespaced() {
        true => object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE),
        false => "",
    };
    Some(Reference {
        kind,
        namespace: namespace.to_owned(),
        name: object["metadata"]["name"].as_str()?.to_owned(),
    })
}

/// How often a request is repeated that did not reach the API server.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(100);

/// Asks again where the API server was not reached: all that is asked here may be asked twice.
async fn persist<T, F: Future<Output = Result<T, kube::Error>>>(
    ask: impl Fn() -> F,
) -> Result<T, kube::Error> {
    let mut attempts = 1;
    loop {
        match ask().await {
            Err(error) if attempts < ATTEMPTS && !matches!(error, kube::Error::Api(_)) => {
                attempts += 1;
                sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

/// Applies an object as kubectl does: what was applied before stands in an annotation, so that what is no longer said is taken
/// away. (Applying on the server's side would do, if API servers before 1.23 took a port of a service without a protocol.)
pub async fn apply(client: &Client, object: &Value) -> Result<Option<Written>, kube::Error> {
    let Some(reference) = reference(object) else {
        return Ok(None);
    };
    let api = api(client, &reference);
    let before = persist(|| api.get_opt(&reference.name)).await?;
    let mut new = object.clone();
    new["metadata"]["annotations"][APPLIED] = json!(object.to_string());
    let after = match &before {
        None => {
            let new: DynamicObject = serde_json::from_value(new).map_err(kube::Error::SerdeError)?;
            let parameters = PostParams::default();
            persist(|| api.create(&parameters, &new)).await?
        }
        Some(before) => {
            let applied = before
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(APPLIED));
            let applied = applied
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            let (patch, parameters) = (Patch::Merge(merge(&applied, &new)), PatchParams::default());
            persist(|| api.patch(&reference.name, &parameters, &patch)).await?
        }
    };
    let (before, version) = (
        before.map(|it| it.metadata.resource_version),
        after.metadata.resource_version,
    );
    let outcome = match before {
        None => Outcome::Created,
        Some(before) if before == version => Outcome::Unchanged,
        Some(_) => Outcome::Configured,
    };
    Ok(Some(Written {
        applied: Applied { reference, outcome },
        version,
    }))
}

/// Applies an object of any kind that the API server has. Returns what became of it, in kubectl's words.
pub async fn apply_foreign(client: &Client, object: &Value) -> Result<String, kube::Error> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion")
        .split_once('/')
        .unwrap_or(("", text("apiVersion")));
    let kind = GroupVersionKind::gvk(group, version, text("kind"));
    let (resource, capabilities) = persist(|| kube::discovery::pinned_kind(client, &kind)).await?;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE);
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let before = persist(|| api.get_opt(name)).await?;
    let word = match before {
        None => {
            let new: DynamicObject =
                serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
            let parameters = PostParams::default();
            persist(|| api.create(&parameters, &new)).await?;
            "created"
        }
        Some(before) => {
            let (patch, parameters) = (Patch::Merge(object), PatchParams::default());
            let after = persist(|| api.patch(name, &parameters, &patch)).await?;
            match before.metadata.resource_version == after.metadata.resource_version {
                true => "unchanged",
                false => "configured",
            }
        }
    };
    let group = if group.is_empty() {
        String::new()
    } else {
        format!(".{group}")
    };
    Ok(format!(
        "{}{group}/{name} {}",
        text("kind").to_ascii_lowercase(),
        word
    ))
}

/// Where kubectl notes what was applied.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What makes something new of it, without what was said before and is said no more (RFC 7386).
fn merge(before: &Value, new: &Value) -> Value {
    let (Some(old), Some(said)) = (before.as_object(), new.as_object()) else {
        return new.clone();
    };
    let gone = old
        .keys()
        .filter(|key| !said.contains_key(*key))
        .map(|key| (key.clone(), Value::Null));
    let kept = said.iter().map(|(key, value)| {
        (
            key.clone(),
            merge(&old.get(key).cloned().unwrap_or_default(), value),
        )
    });
    Value::Object(gone.chain(kept).collect())
}

/// Deletes an object; one that is not there is told.
pub async fn delete(client: &Client, reference: Reference) -> Result<Written, kube::Error> {
    let (api, parameters) = (api(client, &reference), DeleteParams::default());
    let deleted = persist(|| api.delete(&reference.name, &parameters)).await;
    let outcome = match deleted {
        Ok(_) => Outcome::Deleted,
        Err(kube::Error::Api(status)) if status.code == 404 => Outcome::NotFound,
        Err(error) => return Err(error),
    };
    Ok(Written {
        applied: Applied { reference, outcome },
        version: None,
    })
}

/// Says what became of an object, unless it says so already.
pub async fn tell(client: &Client, mirror: &Mirror, told: &Status) -> Result<(), kube::Error> {
    let Some(object) = mirror.get(&told.of) else {
        return Ok(());
    };
    let status = timed(&told.status, &object["status"], &now());
    if is_said(&status, &object["status"]) {
        return Ok(());
    }
    let patch = Patch::Merge(json!({ "status": status }));
    let (api, parameters) = (api(client, &told.of), PatchParams::default());
    let patched = persist(|| api.patch_status(&told.of.name, &parameters, &patch)).await;
    match patched {
        // It has gone in the meantime.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

fn now() -> String {
    k8s_openapi::jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// The same with the time of each condition: since when it says what it says.
fn timed(status: &Value, before: &Value, now: &str) -> Value {
    let mut status = status.clone();
    let known = before["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let same = known.iter().find(|it| it["type"] == condition["type"]);
        let since = same.filter(|it| it["status"] == condition["status"]);
        let since = since
            .and_then(|it| it["lastTransitionTime"].as_str())
            .unwrap_or(now);
        condition["lastTransitionTime"] = json!(since);
    }
    if status["conditions"].is_null()
        && let Some(whole) = status.as_object_mut()
    {
        whole.remove("conditions");
    }
    status
}

/// Whether a merge patch would change nothing (RFC 7386); null is nothing.
fn is_said(patch: &Value, value: &Value) -> bool {
    match patch {
        Value::Object(wanted) => wanted.iter().all(|(key, wanted)| is_said(wanted, &value[key])),
        wanted => wanted == value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_it_changes() {
        let condition = |status: &str| json!({ "conditions": [{ "type": "x", "status": status }] });
        let first = timed(&condition("True"), &Value::Null, "1");
        assert_eq!(first["conditions"][0]["lastTransitionTime"], "1");
        assert!(!is_said(&first, &Value::Null) && is_said(&first, &first));
        let same = timed(&condition("True"), &first, "2");
        assert_eq!(same, first);
        let other = timed(&condition("False"), &first, "3");
        assert_eq!(other["conditions"][0]["lastTransitionTime"], "3");
        assert!(!is_said(&other, &first));
    }

    #[test]
    fn what_is_said_no_more_is_taken_away() {
        let before = json!({ "spec": { "a": 1, "b": { "c": 2, "d": 3 }, "list": [1, 2] } });
        let new = json!({ "spec": { "b": { "c": 4 }, "list": [2] } });
        assert_eq!(
            merge(&before, &new),
            json!({ "spec": { "a": null, "b": { "c": 4, "d": null }, "list": [2] } })
        );
        assert_eq!(merge(&Value::Null, &new), new);
    }

    #[test]
    fn what_is_not_to_be_there_and_is_not_is_said() {
        assert!(is_said(
            &json!({ "loadBalancer": { "ingress": null } }),
            &json!({ "loadBalancer": {} })
        ));
        assert!(!is_said(
            &json!({ "loadBalancer": { "ingress": null } }),
            &json!({ "loadBalancer": { "ingress": [] } })
        ));
    }
}

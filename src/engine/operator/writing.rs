//! What is written to the API server.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::discovery::{Scope, oneshot};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Status;
use super::mirror::{Mirror, Source};
use crate::cilium::manifest::NAMESPACE;
use crate::cilium::{Applied, Kind, Outcome, Reference};

/// An object that was written.
pub struct Written {
    /// What became of it, as kubectl says it.
    pub line: String,
    pub outcome: Outcome,
    /// One that has a meaning for BGP, and its version from then on, if it is there.
    pub awaited: Option<(Reference, Option<String>)>,
}

/// An object to be written: which one it is to whoever reads the outcome, and where it is kept.
struct Target {
    known: Option<Reference>,
    /// `deployment.apps`, as kubectl writes the kind before a name.
    resource: String,
    /// `deployments.apps`, as the API server names what is not there.
    plural: String,
    name: String,
    api: Api<DynamicObject>,
}

impl Target {
    async fn of(client: &Client, object: &Value) -> Result<Target, kube::Error> {
        if let Some(reference) = reference(object) {
            let api = api(client, &reference, object["apiVersion"].as_str());
            let (resource, name) = (reference.resource(), reference.name.clone());
            return Ok(Target {
                known: Some(reference),
                plural: String::new(),
                resource,
                name,
                api,
            });
        }
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = word(&object["apiVersion"]);
        let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
        let kind = GroupVersionKind::gvk(group, version, &word(&object["kind"]));
        let (resource, capabilities) = persist(|| oneshot::pinned_kind(client, &kind)).await?;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE);
        let api = match capabilities.scope {
            Scope::Cluster => Api::all_with(client.clone(), &resource),
            Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
        };
        let with_group = |name: &str| match group {
            "" => name.to_owned(),
            group => format!("{name}.{group}"),
        };
        Ok(Target {
            known: None,
            resource: with_group(&kind.kind.to_ascii_lowercase()),
            plural: with_group(&resource.plural),
            name: word(&object["metadata"]["name"]),
            api,
        })
    }

    fn written(self, outcome: Outcome, version: Option<String>) -> Written {
        let Target {
            resource,
            name,
            plural,
            known,
            ..
        } = self;
        let line = match (&known, outcome) {
            (Some(reference), _) => Applied {
                reference: reference.clone(),
                outcome,
            }
            .line(),
            (None, Outcome::Created) => format!("{resource}/{name} created"),
            (None, Outcome::Configured) => format!("{resource}/{name} configured"),
            (None, Outcome::Unchanged) => format!("{resource}/{name} unchanged"),
            (None, Outcome::Deleted) => format!("{resource} \"{name}\" deleted"),
            (None, Outcome::NotFound) => {
                format!("Error from server (NotFound): {plural} \"{name}\" not found")
            }
        };
        Written {
            line,
            outcome,
            awaited: known.map(|reference| (reference, version)),
        }
    }
}

/// Where an object is kept. What is written there has to be of the version that the place is of: the one that is said, or else the
/// newest.
fn api(client: &Client, reference: &Reference, version: Option<&str>) -> Api<DynamicObject> {
    let mut resource = Source::Kind(reference.kind).resource();
    if let Some(said) = version {
        resource.version = said.rsplit('/').next().unwrap_or(said).to_owned();
        resource.api_version = said.to_owned();
    }
    match reference.namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

/// Which object a manifest is about.
fn reference(object: &Value) -> Option<Reference> {
    let kind = Kind::of(object["kind"].as_str()?).filter(|kind| kind.is_watched())?;
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
pub async fn apply(client: &Client, object: &Value) -> Result<Written, kube::Error> {
    let target = Target::of(client, object).await?;
    let (api, name) = (&target.api, &target.name);
    let before = persist(|| api.get_opt(name)).await?;
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
            persist(|| api.patch(name, &parameters, &patch)).await?
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
    Ok(target.written(outcome, version))
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
pub async fn delete(client: &Client, object: &Value) -> Result<Written, kube::Error> {
    let (target, parameters) = (Target::of(client, object).await?, DeleteParams::background());
    let deleted = persist(|| target.api.delete(&target.name, &parameters)).await;
    let outcome = match deleted {
        Ok(_) => Outcome::Deleted,
        Err(kube::Error::Api(status)) if status.code == 404 => Outcome::NotFound,
        Err(error) => return Err(error),
    };
    Ok(target.written(outcome, None))
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
    let (api, parameters) = (api(client, &told.of, None), PatchParams::default());
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

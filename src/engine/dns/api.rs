//! What the API server knows of services, as far as they have names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::select_all;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::{ACCESS, SOCKET};
use crate::dns::{Contents, Endpoint, Port, Service};
use crate::engine::kubelet::client;
use crate::engine::speaker::process::log;
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;

/// The first minor version of Kubernetes with EndpointSlices of version 1.
const FIRST_WITH_V1: u32 = 21;
/// The label by which a slice tells its service.
const OF_SERVICE: &str = "kubernetes.io/service-name";
/// After a change so much time passes until names follow, so that many changes are one.
const GATHERING: Duration = Duration::from_millis(20);
/// Between two attempts while the API server does not answer.
const PAUSE: Duration = Duration::from_millis(100);
/// No more objects of a kind are kept: whoever may write to the API server may write as many as they like.
const MOST: usize = 20_000;

/// The version of EndpointSlices in a Kubernetes of this minor version.
pub fn slices_of(minor: u32) -> &'static str {
    if minor < FIRST_WITH_V1 { "v1beta1" } else { "v1" }
}

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Namespaces,
    Services,
    Slices,
}

const ALL: [Source; 3] = [Source::Namespaces, Source::Services, Source::Slices];

/// Follows the API server for ever, and says what there is each time it has changed.
///
/// # Errors
/// There is no way to it.
pub async fn follow(slices: &str, know: impl Fn(Contents)) -> Result<(), Failure> {
    let client = client::connect(ACCESS).await?;
    let watches = ALL.map(|source| {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(source, slices));
        let watch = watcher::watcher(api, watcher::Config::default());
        watch.map(move |event| (source, event)).boxed()
    });
    let mut watches = select_all(watches);
    let mut mirror = Mirror::default();
    let mut due: Option<Instant> = None;
    let mut is_trouble_known = false;
    loop {
        let wait = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            watched = watches.next() => match watched {
                Some((source, Ok(event))) => {
                    mirror.take(source, event);
                    due.get_or_insert_with(|| Instant::now() + GATHERING);
                }
                Some((_, Err(error))) => {
                    if !std::mem::replace(&mut is_trouble_known, true) {
                        log(&format!("cannot ask the API server: {error}"));
                    }
                    sleep(PAUSE).await;
                }
                None => return Ok(()),
            },
            () = wait => {
                due = None;
                if let Some(contents) = mirror.contents() {
                    know(contents);
                    is_trouble_known = false;
                    tell_readiness()?;
                }
            }
        }
    }
}

/// Lets those know who wait for it that there are answers.
fn tell_readiness() -> Result<(), Failure> {
    let place = Path::new(SOCKET);
    if !place.exists() {
        let what = || format!("make {SOCKET}");
        fs::create_dir_all(place.parent().unwrap_or(place)).attempt(what)?;
        fs::write(place, "").attempt(what)?;
    }
    Ok(())
}

fn resource(source: Source, slices: &str) -> ApiResource {
    let (group, version, kind, plural) = match source {
        Source::Namespaces => ("", "v1", "Namespace", "namespaces"),
        Source::Services => ("", "v1", "Service", "services"),
        Source::Slices => ("discovery.k8s.io", slices, "EndpointSlice", "endpointslices"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// A namespace and a name.
type Key = (String, String);

/// What the API server has.
#[derive(Default)]
struct Mirror {
    all: BTreeMap<Source, BTreeMap<Key, Value>>,
    /// Lists that are being read.
    coming: BTreeMap<Source, BTreeMap<Key, Value>>,
    /// Whether it was said that not all are kept.
    is_full: bool,
}

impl Mirror {
    fn take(&mut self, source: Source, event: Event<DynamicObject>) {
        let mut put = |all: &mut BTreeMap<Key, Value>, object: &DynamicObject| {
            let key = key(object);
            if all.len() < MOST || all.contains_key(&key) {
                all.insert(key, kept(object));
            } else if !std::mem::replace(&mut self.is_full, true) {
                log(&format!(
                    "the API server has more than {MOST} objects of a kind: the others get no names"
                ));
            }
        };
        match event {
            Event::Init => drop(self.coming.insert(source, BTreeMap::new())),
            Event::InitApply(object) => put(self.coming.entry(source).or_default(), &object),
            Event::InitDone => {
                let all = self.coming.remove(&source).unwrap_or_default();
                self.all.insert(source, all);
            }
            Event::Apply(object) => put(self.all.entry(source).or_default(), &object),
            Event::Delete(object) => {
                self.all.entry(source).or_default().remove(&key(&object));
            }
        }
    }

    /// What there is; none while it is being read for the first time.
    fn contents(&self) -> Option<Contents> {
        let of = |source| self.all.get(&source);
        let (namespaces, services, slices) = (
            of(Source::Namespaces)?,
            of(Source::Services)?,
            of(Source::Slices)?,
        );
        let mut endpoints: BTreeMap<Key, Vec<Endpoint>> = BTreeMap::new();
        for ((namespace, _), slice) in slices {
            let service = text(&slice["metadata"]["labels"][OF_SERVICE]);
            let all = endpoints.entry((namespace.clone(), service)).or_default();
            all.extend(endpoints_of(slice));
        }
        let services = services.iter().map(|(key, object)| {
            let mut endpoints = endpoints.remove(key).unwrap_or_default();
            // While slices are rearranged, one endpoint may be in two.
            endpoints.sort();
            endpoints.dedup();
            service(key, &object["spec"], endpoints)
        });
        Some(Contents {
            services: services.collect(),
            namespaces: namespaces.keys().map(|(_, name)| name.clone()).collect(),
        })
    }
}

fn key(object: &DynamicObject) -> Key {
    let metadata = &object.metadata;
    (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

/// What has a meaning of an object.
fn kept(object: &DynamicObject) -> Value {
    let mut kept = json!({ "metadata": { "labels": object.metadata.labels } });
    for part in ["spec", "endpoints", "ports"] {
        if let Some(value) = object.data.get(part) {
            kept[part] = value.clone();
        }
    }
    kept
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn service(key: &Key, spec: &Value, endpoints: Vec<Endpoint>) -> Service {
    let mut addresses: Vec<_> = items(&spec["clusterIPs"])
        .chain([&spec["clusterIP"]])
        .filter_map(|it| it.as_str()?.parse().ok())
        .collect();
    addresses.sort();
    addresses.dedup();
    Service {
        namespace: key.0.clone(),
        name: key.1.clone(),
        addresses,
        external: (spec["type"] == "ExternalName").then(|| text(&spec["externalName"])),
        ports: items(&spec["ports"]).filter_map(port).collect(),
        endpoints,
    }
}

fn port(value: &Value) -> Option<Port> {
    let protocol = value["protocol"].as_str().unwrap_or("TCP");
    Some(Port {
        name: text(&value["name"]),
        protocol: protocol.to_ascii_lowercase(),
        number: u16::try_from(value["port"].as_u64()?).ok()?,
    })
}

/// Those of a slice that are ready.
fn endpoints_of(slice: &Value) -> Vec<Endpoint> {
    let ports: Vec<Port> = items(&slice["ports"]).filter_map(port).collect();
    // Who says nothing of it is ready.
    let ready = items(&slice["endpoints"]).filter(|it| it["conditions"]["ready"] != false);
    let each = ready.flat_map(|it| items(&it["addresses"]).map(move |address| (it, address)));
    let endpoint = |(it, address): (&Value, &Value)| {
        Some(Endpoint {
            address: address.as_str()?.parse().ok()?,
            hostname: it["hostname"].as_str().map(str::to_owned),
            ports: ports.clone(),
        })
    };
    each.filter_map(endpoint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Event<Value>) -> Event<DynamicObject> {
        let object = |value| serde_json::from_value(value).unwrap();
        match kind {
            Event::Init => Event::Init,
            Event::InitDone => Event::InitDone,
            Event::InitApply(value) => Event::InitApply(object(value)),
            Event::Apply(value) => Event::Apply(object(value)),
            Event::Delete(value) => Event::Delete(object(value)),
        }
    }

    #[test]
    fn a_full_mirror_takes_changes_of_what_it_has() {
        let mut mirror = Mirror::default();
        let service = |at: usize, port: u16| json!({ "metadata": { "name": format!("s{at}"), "namespace": "a" }, "spec": { "clusterIP": "None", "ports": [{ "port": port }] } });
        for source in ALL {
            mirror.take(source, event(Event::Init));
        }
        for at in 0..=MOST {
            mirror.take(Source::Services, event(Event::InitApply(service(at, 80))));
        }
        mirror.take(Source::Services, event(Event::InitApply(service(1, 81))));
        for source in ALL {
            mirror.take(source, event(Event::InitDone));
        }
        assert!(mirror.is_full);
        mirror.take(Source::Services, event(Event::Apply(service(0, 82))));
        mirror.take(Source::Services, event(Event::Apply(service(MOST, 83))));
        let services = mirror.contents().unwrap().services;
        assert_eq!(services.len(), MOST);
        let port = |name: &str| {
            services
                .iter()
                .find(|it| it.name == name)
                .map(|it| it.ports[0].number)
        };
        assert_eq!(
            [port("s0"), port("s1"), port(&format!("s{MOST}"))],
            [Some(82), Some(81), None]
        );
    }

    #[test]
    fn services_have_the_endpoints_of_their_slices() {
        let mut mirror = Mirror::default();
        for source in ALL {
            assert_eq!(mirror.contents(), None);
            mirror.take(source, event(Event::Init));
            mirror.take(source, event(Event::InitDone));
        }
        assert_eq!(mirror.contents(), Some(Contents::default()));
        let metadata = json!({ "name": "db", "namespace": "a" });
        let spec = json!({ "clusterIP": "None", "clusterIPs": ["None"], "ports": [{ "name": "sql", "port": 5432 }] });
        mirror.take(
            Source::Services,
            event(Event::Apply(json!({ "metadata": metadata, "spec": spec }))),
        );
        mirror.take(
            Source::Namespaces,
            event(Event::Apply(json!({ "metadata": { "name": "a" } }))),
        );
        let slice = json!({
            "metadata": { "name": "db-x", "namespace": "a", "labels": { OF_SERVICE: "db" } },
            "ports": [{ "name": "sql", "port": 5432, "protocol": "TCP" }],
            "endpoints": [
                { "addresses": ["10.1.0.2"], "conditions": { "ready": true }, "hostname": "db-0" },
                { "addresses": ["10.1.0.3"], "conditions": { "ready": false } },
                { "addresses": ["10.1.0.4", "nonsense"], "conditions": {} },
            ],
        });
        mirror.take(Source::Slices, event(Event::Apply(slice.clone())));
        let contents = mirror.contents().unwrap();
        assert!(contents.namespaces.contains("a"));
        let service = &contents.services[0];
        assert!(service.addresses.is_empty());
        let found: Vec<_> = service
            .endpoints
            .iter()
            .map(|it| (it.address.to_string(), it.hostname.clone()))
            .collect();
        assert_eq!(
            found,
            [
                ("10.1.0.2".to_owned(), Some("db-0".to_owned())),
                ("10.1.0.4".to_owned(), None)
            ]
        );
        assert_eq!(service.endpoints[0].ports[0].number, 5432);
        mirror.take(Source::Slices, event(Event::Delete(slice)));
        assert!(mirror.contents().unwrap().services[0].endpoints.is_empty());
    }
}

//! The objects of a lab, as an API server would keep them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::object::{Kind, Object, Reference};
use super::resources::Spec;

/// All objects, and the addresses that services were given.
#[derive(Debug, Clone, Default)]
pub struct Store {
    objects: BTreeMap<Reference, Object>,
    /// Addresses of services of type LoadBalancer. What one has it keeps as long as it may.
    pub(super) addresses: BTreeMap<Reference, Vec<IpAddr>>,
    /// Addresses in the cluster of services that name none.
    pub(super) cluster_addresses: BTreeMap<Reference, Vec<IpAddr>>,
    /// Ports of the nodes' that ports of services were given, which name none: by the service and the port's name, protocol and
    /// number.
    pub(super) node_ports: BTreeMap<(Reference, String), u16>,
    /// What addresses are from; none where an API server gives them.
    service_subnets: Vec<IpNet>,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Created,
    /// It has changed.
    Configured,
    /// It was so already.
    Unchanged,
    /// It is gone.
    Deleted,
    /// There was none.
    NotFound,
}

/// An object, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Which.
    pub reference: Reference,
    /// What became of it.
    pub outcome: Outcome,
}

impl Applied {
    /// As kubectl says it.
    pub fn line(&self) -> String {
        let (resource, name) = (self.reference.resource(), &self.reference.name);
        match self.outcome {
            Outcome::Created => format!("{} created", self.reference),
            Outcome::Configured => format!("{} configured", self.reference),
            Outcome::Unchanged => format!("{} unchanged", self.reference),
            Outcome::Deleted => format!("{resource} \"{name}\" deleted"),
            Outcome::NotFound => {
                let plural = match self.reference.kind.group() {
                    "" => self.reference.kind.plural().to_owned(),
                    group => format!("{}.{group}", self.reference.kind.plural()),
                };
                format!("Error from server (NotFound): {plural} \"{name}\" not found")
            }
        }
    }
}

impl Store {
    /// An empty one, which gives services their addresses in the cluster.
    pub fn new(service_subnets: Vec<IpNet>) -> Store {
        Store {
            service_subnets,
            ..Store::default()
        }
    }

    /// Puts objects in, in their order.
    pub fn apply(&mut self, objects: Vec<Object>) -> Vec<Applied> {
        let mut applied = Vec::with_capacity(objects.len());
        for object in objects {
            let reference = object.reference.clone();
            let outcome = match self.objects.get(&reference) {
                None => Outcome::Created,
                Some(before) if before.written == object.written => Outcome::Unchanged,
                Some(_) => Outcome::Configured,
            };
            self.objects.insert(reference.clone(), object);
            applied.push(Applied { reference, outcome });
        }
        self.assign();
        applied
    }

    /// Has these objects and no others.
    pub fn replace_objects(&mut self, objects: impl IntoIterator<Item = Object>) {
        let named = objects
            .into_iter()
            .map(|object| (object.reference.clone(), object));
        self.objects = named.collect();
        self.assign();
    }

    /// Takes objects out.
    pub fn delete(&mut self, references: impl IntoIterator<Item = Reference>) -> Vec<Applied> {
        let delete = |reference: Reference| {
            let outcome = match self.objects.remove(&reference) {
                Some(_) => Outcome::Deleted,
                None => Outcome::NotFound,
            };
            Applied { reference, outcome }
        };
        let deleted = references.into_iter().map(delete).collect();
        self.assign();
        deleted
    }

    fn assign(&mut self) {
        self.assign_addresses();
        self.assign_cluster_addresses();
        self.assign_node_ports();
    }

    /// What addresses of services in the cluster are from.
    pub(super) fn service_subnets(&self) -> &[IpNet] {
        &self.service_subnets
    }

    /// The objects of a kind, by namespace and name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        let all = self.objects.values();
        all.filter(move |object| object.reference.kind == kind)
    }

    /// An object by its name; the namespace is empty for kinds that are in none.
    pub(super) fn named(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Object> {
        self.objects.get(&Reference {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// What the objects of a kind say, each with the object.
    pub(super) fn specs<'a, T: 'a>(
        &'a self,
        kind: Kind,
        says: impl Fn(&'a Spec) -> Option<&'a T> + 'a,
    ) -> impl Iterator<Item = (&'a Object, &'a T)> {
        self.of_kind(kind)
            .filter_map(move |object| Some((object, says(&object.spec)?)))
    }

    /// An object as `kubectl get -o json` shows it.
    pub fn shown(&self, object: &Object) -> Value {
        let mut shown = object.written.clone();
        if object.reference.kind.is_namespaced() {
            shown["metadata"]["namespace"] = json!(object.reference.namespace);
        }
        if let Some(addresses) = self.addresses.get(&object.reference) {
            let ingress: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
            shown["status"]["loadBalancer"]["ingress"] = Value::Array(ingress);
        }
        if let Some(addresses) = self.cluster_addresses.get(&object.reference) {
            shown["spec"]["clusterIP"] = json!(addresses.first());
            shown["spec"]["clusterIPs"] = json!(addresses);
        }
        if let Spec::Service(service) = &object.spec {
            for (at, port) in service.ports.iter().enumerate() {
                if let Some(given) = self.given_node_port(object, port) {
                    shown["spec"]["ports"][at]["nodePort"] = json!(given);
                }
            }
        }
        shown
    }
}

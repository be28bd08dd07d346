//! Tests of the built binary, in real namespaces: one file for each subject, and one program for all of them, which is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by panicking"
)]

mod common;

mod architecture;
mod bare;
mod beside;
mod builtin;
mod capture;
mod capture_trouble;
mod chatty;
mod checks;
mod cilium;
mod cilium_manifests;
mod cluster_dns;
mod cni;
mod completion;
mod confinement;
mod corpora;
mod cures;
mod devices;
mod endless;
mod engines;
mod evpn;
mod exec;
mod expressions;
mod failures;
mod first_process;
mod flows;
mod frr_script;
mod github_action;
mod growth;
mod habits;
mod handing;
mod hidden;
mod hostile;
mod hostile_nodes;
mod hostile_peers;
mod hostile_requests;
mod hostile_up;
mod image_files;
mod image_lives;
mod image_nodes;
mod image_registries;
mod image_systems;
mod images;
mod impair;
mod impair_types;
mod import;
mod inspecting;
mod interop;
mod key_kinds;
mod kubelet;
mod kubelet_failures;
mod kubelet_objects;
mod labs;
mod life;
mod limits;
mod links;
mod links_live;
mod management;
mod nat;
mod netem;
mod nodes;
mod odd_usage;
mod pods;
mod published;
mod quickstart;
mod reach;
mod report_page;
mod restarts;
mod rootless;
mod rootless_links;
mod rootless_outside;
mod routers;
mod routes;
mod scenarios;
mod schema;
mod services;
mod shipped;
mod shipped_cilium;
mod sources;
mod stand_ins;
mod starting;
mod supply;
mod survive;
mod testing;
mod timeline;
mod timeline_large;
mod topologies;
mod topology_clusters;
mod traces;
mod trust_requests;
mod trust_rundir;
mod upgrades;
mod validate;
mod vendors;
mod volumes;
mod vtysh;
mod without_labs;

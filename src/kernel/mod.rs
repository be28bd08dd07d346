//! The only place that makes system calls of its own, one file a concern. Knows nothing of labs.

pub mod address;
pub mod apart;
pub mod capability;
pub mod cgroup;
pub mod confine;
pub mod echo;
pub mod enter;
pub mod error;
pub mod event_loop;
pub mod file;
pub mod inotify;
pub mod isolate;
pub mod link;
pub mod link_watch;
pub mod memory;
pub mod message;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod nftables;
pub mod offload;
pub mod output;
pub mod overlay;
pub mod process;
pub mod process_root;
pub mod rootless;
pub mod route;
pub mod route_change;
pub mod router_discovery;
pub mod seccomp;
pub mod signals;
pub mod spawn;
pub mod sysctl;
pub mod tcp;
pub mod terminal;
pub mod title;
pub mod tree;
pub mod user_namespace;
pub mod users;
pub mod watch;

mod devices;
pub mod hop_filter;
mod netlink_batch;
mod socket_option;

pub use error::{Error, Result};

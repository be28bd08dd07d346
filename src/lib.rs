//! nslab runs network labs on one Linux host, straight on the kernel's namespaces.
//!
//! The way of the data is `file → Spec → Lab → Plan → kernel`. Everything up to the plan is plain data and
//! pure functions ([`lab`]); system calls live in `kernel`, living labs in `run`, and what a person sees in
//! `view` and `cli`.

pub use nslab_bgp as bgp;
pub use nslab_capture as capture;
pub use nslab_flow as flow;
pub use nslab_image as image;
pub use nslab_kernel as kernel;
pub use nslab_lab as lab;
pub use nslab_timeline as timeline;
pub mod apply;
pub mod check;
pub mod cilium;
pub mod clean;
pub mod cli;
pub mod dns;
pub mod engine;
pub mod failure;
pub mod impair;
pub mod import;
pub mod kinds;
pub mod node_tools;
pub mod run;
pub mod scenario;
pub mod trace;
pub mod trial;
pub mod view;
pub mod yaml;

//! Container images without a container runtime: where they are, what they say of the program in them, and a store of their
//! unpacked layers.

pub mod config;
pub mod digest;
pub mod error;
pub mod foreign;
mod image_file;
mod layer;
pub mod lock;
mod manifest;
mod platform;
mod reference;
mod registry;
pub mod source;
pub mod store;

pub use error::Error;
pub use reference::Reference;
pub use registry::Registries;

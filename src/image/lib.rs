//! Container images without a container runtime: where they are, what they say of the program in them, and a store of their
//! unpacked layers.

pub mod config;
pub mod source;

//! Against the running kernel, each test in a network namespace of its own.

mod attached;
mod binding;
mod lifetime;
pub(super) mod net;
mod rights;

//! Against the running kernel, each test in a network namespace of its own.

mod attached;
mod binding;
mod company;
mod lifetime;
pub(crate) mod net;
mod release;
mod rights;

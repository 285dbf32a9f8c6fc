//! What is built parses as what was asked for, and what is parsed can be built again, byte by byte.
//!
//! `FLUXCAP_SOAK=100000` sets how many random frames are tried, `FLUXCAP_SEED=7` tries one.

#[path = "build/layers.rs"]
mod layers;
#[path = "build/properties.rs"]
mod properties;
#[path = "build/random.rs"]
mod random;
#[path = "build/read.rs"]
mod read;

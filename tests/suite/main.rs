//! The integration tests, in one binary.

#![allow(
    unreachable_pub,
    clippy::duration_suboptimal_units,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::manual_assert,
    clippy::many_single_char_names,
    clippy::panic,
    clippy::type_complexity,
    clippy::zombie_processes,
    reason = "a test may fail where it stands, and nobody stands on a test"
)]

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "s3")]
mod clones;
mod concurrency;
mod contract;
mod crash;
#[cfg(feature = "aws")]
mod deviations;
mod examples;
mod faults;
#[cfg(feature = "aws")]
mod fields;
mod kept;
mod kernel;
mod layering;
#[allow(clippy::unwrap_used, reason = "the tests of the library may")]
#[path = "../../src/plan/tests/likeness.rs"]
mod likeness;
mod locks;
#[cfg(feature = "aws")]
mod matrix;
#[cfg(feature = "aws")]
mod pages;
#[cfg(feature = "aws")]
mod permissions;
mod pipelines;
mod radius;
#[cfg(feature = "aws")]
mod rolls;
mod schemas;
mod smoke;
mod stories;
mod support;
mod teeth;
#[cfg(feature = "aws")]
mod weather;

// What the tests of the library say by these names.
use portcullis::{model, resources};

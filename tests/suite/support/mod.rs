//! What the tests stand on.

#![cfg_attr(not(feature = "aws"), allow(dead_code, reason = "most of it is for the tests on moto"))]

#[cfg(feature = "aws")]
mod balancers;
pub mod binary;
pub mod canary;
pub mod host;
#[cfg(feature = "aws")]
pub mod http;
#[cfg(feature = "aws")]
mod iam;
#[cfg(feature = "aws")]
pub mod moto;
pub mod netns;
#[cfg(feature = "aws")]
pub mod proxy;
#[cfg(feature = "aws")]
pub mod relay;
#[cfg(feature = "aws")]
mod repairs;
#[cfg(feature = "aws")]
pub mod strangers;
pub mod traffic;
#[cfg(feature = "aws")]
pub mod wire;

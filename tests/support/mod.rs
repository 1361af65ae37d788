//! What tests share: a `dev` with a cleared environment and a home of its own, and the cluster under test.

pub mod api;
pub mod app;
pub mod backend;
pub mod base;
pub mod cluster;
pub mod collector;
pub mod control;
pub mod envoy;
pub mod envoy_process;
pub mod grpc;
pub mod left_out;
pub mod leftover;
pub mod load;
pub mod objects;
pub mod owner;
pub mod project;
pub mod proxy;
pub mod rights;
pub mod router;
pub mod routers;

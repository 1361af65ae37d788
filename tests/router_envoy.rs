//! What the router's configuration makes of requests, by a real Envoy on loopback.

mod bystanders;
mod calls;
mod configuration;
mod edge;
mod families;
mod requests;
mod rules;
mod streams;
mod tracing;
mod traffic;
mod versions;
mod world;

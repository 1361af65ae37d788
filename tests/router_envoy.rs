//! What the router's configuration makes of requests, by a real Envoy on loopback.

mod bystanders;
mod configuration;
mod edge;
mod rules;
mod streams;
mod versions;
mod world;

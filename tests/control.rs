//! `dev control` on a real cluster: routers, environments, requests that are routed by their header, owners that write to their
//! Services, and faults.

mod capture;
mod faults;
mod owners;
mod path;

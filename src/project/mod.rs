//! `dev.yaml`: its schema, how it is found and read, and the checks that a schema cannot express.

mod schema;

pub use schema::*;

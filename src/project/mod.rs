//! `dev.yaml`: its schema, how it is found and read, and the checks that a schema cannot express.

mod forms;
pub mod label;
mod load;
mod schema;
mod validate;

pub use load::*;
pub use schema::*;

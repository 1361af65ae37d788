//! One verb, one file: its arguments and its `run()`.

pub mod admit;
pub mod completions;
mod context;
pub mod control;
pub mod deploy;
pub mod diff;
mod dispatch;
pub mod down;
pub mod exec;
pub mod image;
pub mod logs;
pub mod man;
pub mod render;
pub mod router;
pub mod router_link;
pub mod router_run;
pub mod schema;
pub mod status;
pub mod up;
pub mod url;
pub mod validate;

pub use context::Context;
pub use dispatch::run;

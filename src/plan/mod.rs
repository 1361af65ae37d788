//! PURE: what is desired against what is observed gives a list of changes. No cluster, no files, no clock.
//!
//! `prepare` makes of the manifests what will be sent; `compare` finds the fields that differ from what runs;
//! `decide` turns that into changes; `order` says what may be applied at once; `diff` shows it to people.

mod claims;
mod compare;
mod decide;
mod diff;
mod immutable;
mod inventory;
mod lists;
mod model;
mod order;
mod ownership;
mod prepare;
mod quantity;
mod record;
mod refuse;
mod secrets;

pub use claims::ClaimTemplate;
pub use compare::{Comparison, FieldChange, compare};
pub use decide::{PlanOptions, plan};
pub use diff::{DiffAction, DiffEntry, diff_entries, render_diff};
pub use inventory::{Entry, Inventory};
pub use model::*;
pub use order::{Rank, Schedule, ServiceSteps, check_needs, rank, schedule};
pub use ownership::{Holder, holder};
pub use prepare::{Prepared, prepare};
pub use refuse::{check_namespace, refusal};

//! Overlays: environments that copy some services and borrow all others of their base.
//!
//! A borrowed service is an alias, a Service of type ExternalName that leads to the base's Service of the same name, so short DNS
//! names work from inside the copies. `choose` says whether a command works on an overlay; `alias` and `needs` add to what was
//! rendered; `settle` fits that to what is in the environment already. All but `choose` and the reading in `needs` is pure.

mod alias;
mod choose;
mod needs;
mod reach;
mod settle;
mod wish;

pub use alias::{aliases, borrowable, limits};
pub use choose::{Extent, choose};
pub use needs::{bring, use_scratch, without_followed};
pub use reach::{left_alone, unreachable};
pub use settle::{Settled, settle};
pub use wish::{mark, permissions};

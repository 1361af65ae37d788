//! What carrying a plan out tells, and what it asks of its caller.

use async_trait::async_trait;

use crate::error::{Place, Result};
use crate::plan::Change;

/// The place in a file of a field of an object, by the keys that lead to it; of the whole object where there are none.
pub type PlaceOf<'a> = dyn Fn(&Change, &[String]) -> Option<Place> + Sync + 'a;

/// What an apply tells while it works.
#[derive(Clone, Debug)]
pub enum Progress<'a> {
    /// The namespace of an earlier environment is still going.
    AwaitingNamespace(&'a str),
    /// The namespace was made.
    NamespaceCreated(&'a str),
    /// An object was written.
    Applied(&'a Change),
    /// An object was deleted.
    Deleted(&'a Change),
    /// A service waits for the services that it needs.
    AwaitingNeeds {
        /// The service that waits.
        service: &'a str,
        /// What it waits for.
        needs: &'a [String],
    },
    /// All that is applied for all services, before the first workload, is written.
    FoundationApplied,
    /// All objects of a service are written.
    ServiceApplied(&'a str),
    /// A service is not applied: something of it, or of what it needs, failed. Nobody will become ready by waiting for it.
    ServiceFailed(&'a str),
}

/// What an apply needs from its caller.
#[async_trait]
pub trait Observer: Sync {
    /// Something was done.
    fn progress(&self, progress: Progress<'_>);
    /// Returns when the service is ready. Called before the workloads of services that need it are applied, perhaps several times.
    async fn ready(&self, service: &str) -> Result<()>;
    /// The place in a file of a field of an object, by the keys that lead to it.
    fn place(&self, change: &Change, _field: &[String]) -> Option<Place> {
        change.place.clone()
    }
}

/// An observer that says nothing and waits for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

#[async_trait]
impl Observer for Silent {
    fn progress(&self, _progress: Progress<'_>) {}
    async fn ready(&self, _service: &str) -> Result<()> {
        Ok(())
    }
}

//! The multi-version transform: from the objects of an application to those of one version of it, in another
//! namespace or beside the others in the same one. Pure: values in, values and notes out.
//!
//! | what | in another namespace | in the same namespace (with a suffix) |
//! |---|---|---|
//! | names | stay | become `NAME-SUFFIX`, shortened with a hash where that is too long |
//! | references to objects of the set | their `namespace` follows | names follow |
//! | references to anything else | stay | stay |
//! | labels of the stamp | on objects, pod and claim templates | the same |
//! | labels that select pods | stay | values get the suffix, and `dev/version` is added to labels and selectors |
//! | DNS names in text | those that name the old namespace follow | those of services of the set follow |
//!
//! Copies are made safe, each with a note: hosts of Ingresses and routes are rewritten, LoadBalancers become
//! ClusterIP, fixed addresses and ports are cleared, CronJobs suspended, autoscalers and disruption budgets left out,
//! objects of the whole cluster and of other namespaces left out. A base ([`Mode::Base`]) gets namespace and labels only.

mod hosts;
mod labels;
mod rename;
mod run;
mod safety;
mod scope;
mod selectors;
mod target;
mod text;

pub use run::transform;
pub use scope::{Scope, builtin_scope};
pub use target::{Expected, Mode, ScopeLookup, Target, Transformed, unknown_scope};

#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;

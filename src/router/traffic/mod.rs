//! PURE: how much traffic the versions of services answer, how well and how fast, from Envoy's statistics.
//!
//! ```text
//! Envoy's statistics ──► Sample ──► Counts since an earlier one ──► those of all routers together ──► Figures
//! ```
//!
//! What routers exchange are counts and histograms, which can be added up; rates and percentiles, which cannot, are made of them
//! at the end.

mod counts;
mod figures;
mod sample;

pub use counts::{Bin, Counts};
pub use figures::{Figures, PodTraffic, Report, ServiceTraffic};
pub use sample::{QUERY, Sample};

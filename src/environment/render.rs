//! From the sources of each service to the objects of an environment.

use std::path::Path;

use futures::future::try_join_all;

use super::{Images, Scope};
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::local::Git;
use crate::manifest::transform::{Target, Transformed, transform};
use crate::manifest::{self, Manifest, Note, Skipped, live, validate};
use crate::settings::Settings;
use crate::ui::Ui;

/// The objects of an environment, and what should be said about them.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// In the order of the services and their sources.
    pub objects: Vec<Manifest>,
    /// What was changed.
    pub notes: Vec<Note>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

impl Rendered {
    /// Says what was left out, and with `-v` what was changed.
    pub fn tell(&self, ui: &Ui) {
        for skipped in &self.skipped {
            ui.note(format!("left out: {skipped}"));
        }
        for note in &self.notes {
            ui.detail(note.to_string());
        }
    }
}

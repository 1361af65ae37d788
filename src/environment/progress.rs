//! One line for each service while it is applied and becomes ready.

use std::collections::BTreeMap;

use crate::cluster::health::{Health, State};
use crate::ui::{Task, Ui, took};

/// The lines of the services.
pub struct Progress {
    tasks: BTreeMap<String, Task>,
}

impl Progress {
    /// A line for each of these services.
    pub fn new<'a>(services: impl Iterator<Item = &'a String>, ui: &Ui) -> Self {
        Self {
            tasks: services
                .map(|name| (name.clone(), ui.task(name.clone())))
                .collect(),
        }
    }

    /// What is done with a service now.
    pub fn state(&self, service: &str, text: &str) {
        if let Some(task) = self.tasks.get(service) {
            task.state(text);
        }
    }

    /// How a service is now.
    pub fn health(&self, service: &str, health: &Health) {
        let Some(task) = self.tasks.get(service) else {
            return;
        };
        match &health.state {
            State::Ready => task.done(format!("ready ({})", took(task.elapsed()))),
            State::Progressing => task.state(&health.text),
            // It may recover: the line says so, and the wait goes on.
            State::Troubled { troubles } => task.state(match troubles.first() {
                Some(trouble) => format!("[{}] {trouble}", trouble.reason.code()),
                None => health.text.clone(),
            }),
            State::Failed { trouble } => {
                task.failed(format!("[{}] {trouble}", trouble.reason.code()));
            }
        }
    }
}

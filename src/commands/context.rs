//! What every command is given.

use crate::cli::Globals;
use crate::cluster::{Cluster, ConnectOptions};
use crate::error::{Error, Result};
use crate::local::Git;
use crate::project::Loaded;
use crate::settings::{Basics, Settings};
use crate::ui::Ui;

/// What every command is given.
#[derive(Clone, Debug)]
pub struct Context {
    /// The global flags as typed.
    pub globals: Globals,
    /// What does not depend on `dev.yaml`.
    pub basics: Basics,
    /// The terminal.
    pub ui: Ui,
}

impl Context {
    /// Reads the project and resolves the settings.
    pub fn settings(&self) -> Result<Settings> {
        let loaded = Loaded::find(self.basics.file.as_deref(), &here()?)?;
        let branch = match Git::discover(&loaded.root) {
            Ok(git) => git.and_then(|git| git.branch()),
            // It is somebody else's, or damaged. What does not need it must go on: `dev down` above all.
            Err(error) => {
                self.ui
                    .warn(format!("{error}; no branch and no commit are known"));
                None
            }
        };
        // Services and containers have a user without the variable.
        let user = || whoami::username().ok();
        let variables = |name: &str| match std::env::var(name) {
            Ok(value) => Some(value),
            Err(_) if name == "USER" => user(),
            Err(_) => None,
        };
        let settings = Settings::resolve(
            &self.globals,
            &variables,
            self.basics.clone(),
            loaded,
            branch.as_deref(),
        )?;
        self.ui.detail(format!(
            "{}: environment {} ({}), namespace {} ({}), profile {} ({})",
            settings.project.file.display(),
            settings.env.value,
            settings.env.origin,
            settings.namespace.value,
            settings.namespace.origin,
            settings.profile.value,
            settings.profile.origin,
        ));
        Ok(settings)
    }

    /// The project, for commands that can do without one: `None` where there is no `dev.yaml` and none was named.
    pub fn project(&self) -> Result<Option<Loaded>> {
        let here = here()?;
        match self.basics.file.is_none() && !Loaded::is_near(&here) {
            true => Ok(None),
            false => Loaded::find(self.basics.file.as_deref(), &here).map(Some),
        }
    }

    /// Connects to the cluster of the chosen context. Nothing is written by it.
    pub async fn connect(&self) -> Result<Cluster> {
        Cluster::connect(&self.connection()).await
    }

    /// The same, with requests made in the name of another user, which takes the right to `impersonate`.
    pub async fn connect_as(&self, user: &str) -> Result<Cluster> {
        let options = ConnectOptions {
            impersonate: Some(user.to_owned()),
            ..self.connection()
        };
        Cluster::connect(&options).await
    }

    fn connection(&self) -> ConnectOptions {
        ConnectOptions {
            context: self.basics.context.clone(),
            limit: Some(self.basics.timeout),
            ..ConnectOptions::default()
        }
    }
}

fn here() -> Result<std::path::PathBuf> {
    std::env::current_dir()
        .map_err(|cause| Error::failed("cannot tell the current folder").caused_by(&cause))
}

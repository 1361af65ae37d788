//! The root command and the global flags. What was typed, not yet what it means: see `settings.rs`.

mod suggest;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::error::{Error, Kind, Result};
use crate::ui::{Format, Recall, Subject};

const AFTER_HELP: &str = "\
Environment variables:
  Every global flag has a twin: DEV_ENV, DEV_BASE, DEV_NAMESPACE, DEV_CONTEXT, DEV_FILE,
  DEV_PROFILE, DEV_SET (K=V,K=V), DEV_REGISTRY, DEV_OUTPUT, DEV_TIMEOUT, DEV_QUIET, DEV_VERBOSE,
  DEV_YES, DEV_NO_COLOR (or NO_COLOR). Order: flag, variable, dev.yaml, default.

Exit codes:
  0 done   1 failed   2 wrong usage or configuration   3 cluster unreachable or access denied
  4 not ready, or not gone, in time   130 interrupted

Examples:
  dev up                    an environment of your own, from the dev.yaml here
  dev status                what runs in it
  dev logs web --follow     follow the logs of one service
  dev down                  remove it";

/// An isolated, real environment for every developer in a shared Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(name = "dev", version, after_help = AFTER_HELP, max_term_width = 100, infer_long_args = false)]
pub struct Cli {
    /// The flags that every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the words of a command line, the program's name first.
    ///
    /// # Errors
    /// clap's, which help and version are too; with the nearest command where there is no such one.
    pub fn read(words: Vec<OsString>) -> Result<Self, clap::Error> {
        let words = suggest::without_help_of_help(words);
        Self::try_parse_from(words).map_err(suggest::propose)
    }
}

/// The flags that every command takes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Name of the environment [default: your user name]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub env: Option<String>,
    /// Namespace of the shared versions [default: `base` of dev.yaml]
    #[arg(long, global = true, value_name = "NAMESPACE")]
    pub base: Option<String>,
    /// Namespace to work in [default: APP-ENV]
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(
        long,
        visible_alias = "kube-context",
        global = true,
        value_name = "NAME"
    )]
    pub context: Option<String>,
    /// The dev.yaml to use [default: the nearest one upwards from here]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Profile of dev.yaml [default: the first whose branches match, else `default`]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Set a template variable (repeatable)
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Where images are pushed [default: `registry` of dev.yaml]
    #[arg(long, global = true, value_name = "HOST/PATH")]
    pub registry: Option<String>,
    /// Form of the data on stdout [default: table]
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// How long to wait: for readiness, for a login program, for a registry's answer, such as 90s or 5m [default: 5m]
    #[arg(long, global = true, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Say nothing but errors and data
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Answer questions with yes (never the one about an unknown cluster)
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// No colours
    #[arg(long, global = true)]
    pub no_color: bool,
}

impl Globals {
    /// The flags that a command of a hint is to have as well.
    pub fn recall(&self) -> Recall {
        let text = |subject, value: &Option<String>| Some((subject, value.clone()?));
        let file = self.file.as_ref();
        let single = [
            text(Subject::Env, &self.env),
            text(Subject::Namespace, &self.namespace),
            file.map(|file| (Subject::File, file.display().to_string())),
            text(Subject::Profile, &self.profile),
            text(Subject::Context, &self.context),
            text(Subject::Base, &self.base),
            // One that names a user is refused, and its password is not shown.
            text(Subject::Registry, &self.registry).filter(|(_, text)| !text.contains('@')),
        ];
        let names = self.set.iter().filter_map(|set| set.split_once('='));
        let sets = names.map(|(name, _)| (Subject::Set, name.to_owned()));
        Recall::new(single.into_iter().flatten().chain(sets))
    }
}

/// One verb each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make or update an environment: render, build, apply, wait
    Up(commands::up::Up),
    /// Remove an environment, exactly what it owns
    Down(commands::down::Down),
    /// Make or update the base itself
    Deploy(commands::deploy::Deploy),
    /// Show what runs in an environment
    Status(commands::status::Status),
    /// Show the logs of services
    Logs(commands::logs::Logs),
    /// Run a command in a service's container
    Exec(commands::exec::Exec),
    /// Show where a service is reached
    Url(commands::url::Url),
    /// Print the manifests as they would be applied
    Render(commands::render::Render),
    /// Show what `dev up` would change
    Diff(commands::diff::Diff),
    /// Check dev.yaml and everything it names, without a cluster
    Validate(commands::validate::Validate),
    /// The routers of a base, which lead requests to copies (not finished)
    Router(commands::router::Router),
    /// The image of the in-cluster parts of dev itself
    Image(commands::image::Image),
    /// Admit a cluster for writing, once
    Admit(commands::admit::Admit),
    /// Print shell completions
    Completions(commands::completions::Completions),
    /// Print the JSON Schema of dev.yaml
    Schema(commands::schema::Schema),
    /// Print or write the manual pages
    Man(commands::man::Man),
    /// Put the routers of a base in front of Services that environments override
    #[command(hide = true)]
    Control(commands::control::Control),
    /// Run Envoy and its link, as the first process of a router's pod
    #[command(hide = true)]
    RouterRun(commands::router_run::RouterRun),
    /// Keep a router's Envoy in step with the cluster
    #[command(hide = true)]
    RouterLink(commands::router_link::RouterLink),
}

impl Command {
    /// Whether the command takes SIGTERM and SIGINT itself: it has to put something in order first.
    pub fn takes_signals(&self) -> bool {
        matches!(self, Self::Control(_) | Self::RouterRun(_))
    }

    /// How it ends when it is told to stop. What has no end of its own has not failed then.
    ///
    /// # Errors
    /// It was cut off; what to do next is said where something may have been written.
    pub fn stopped(&self) -> Result<u8> {
        let cut_off = |hint: &str| Err(Error::interrupted().hint(hint));
        match self {
            // As `kubectl port-forward`.
            Self::Url(url) if url.forward.is_some() => Ok(0),
            // As `kubectl logs -f`, which the signal ends.
            Self::Logs(logs) if logs.follow => Ok(Kind::Interrupted.exit_code()),
            Self::Up(_) => {
                cut_off("what was applied is recorded: `dev up` goes on, `dev down` removes it")
            }
            Self::Deploy(_) => cut_off(
                "what was applied is recorded: `dev deploy` goes on, `dev deploy --remove` removes it",
            ),
            Self::Down(_) => cut_off("`dev down` goes on"),
            Self::Status(_)
            | Self::Logs(_)
            | Self::Exec(_)
            | Self::Url(_)
            | Self::Render(_)
            | Self::Diff(_)
            | Self::Validate(_)
            | Self::Router(_)
            | Self::Image(_)
            | Self::Admit(_)
            | Self::Completions(_)
            | Self::Schema(_)
            | Self::Man(_)
            | Self::Control(_)
            | Self::RouterRun(_)
            | Self::RouterLink(_) => Err(Error::interrupted()),
        }
    }
}

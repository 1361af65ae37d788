//! `dev logs`

mod requests;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Context;
use crate::cluster::logs::{Form, LogOptions, render, stream};
use crate::cluster::pods::PodSet;
use crate::environment::{misspelt, with_needs};
use crate::error::{Error, Result};
use crate::settings::duration_flag;
use crate::ui::{Format, stdout_closed};

/// Show the logs of services
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev logs                         every service, in the order of the lines' times
  dev logs web reviews -f          follow two services, also pods that come later
  dev logs web --previous          what the last run said before it ended
  dev logs --since 5m -o json      one JSON object a line
  dev logs --requests -f           requests with the environment's name, as the routers saw them")]
pub struct Logs {
    /// Services [default: all]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Go on with what is written from now on
    #[arg(short = 'f', long)]
    pub follow: bool,
    // The global flag without its short form, which follows here as in kubectl.
    /// The dev.yaml to use [default: the nearest one upwards from here]
    #[arg(long, value_name = "FILE", help_heading = "Global options")]
    pub file: Option<PathBuf>,
    /// Only lines younger than this, such as 90s or 5m
    #[arg(long, value_name = "DURATION", value_parser = duration_flag)]
    pub since: Option<Duration>,
    /// Only so many of the last lines of each container
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..))]
    pub tail: Option<i64>,
    /// The run before the present one
    #[arg(long)]
    pub previous: bool,
    /// Only the container of this name
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// With the time of each line
    #[arg(long)]
    pub timestamps: bool,
    /// In place of what pods write: requests with the environment's header at the routers of its base. Paths are shown without what follows `?`
    #[arg(long, conflicts_with_all = ["previous", "container", "timestamps"])]
    pub requests: bool,
}

impl Logs {
    /// Prints the lines.
    pub async fn run(self, context: &Context) -> Result<()> {
        if self.requests {
            return self.requests(context).await;
        }
        let settings = context.settings()?;
        let known = &settings.project.project.services;
        let services = match self.services.is_empty() {
            true => with_needs(known, settings.services.as_deref(), &[])?
                .into_iter()
                .collect(),
            false => self.services.clone(),
        };
        let cluster = context.connect().await?;
        let (namespace, env) = (&settings.namespace.value, &settings.env.value);
        let mut sets = Vec::new();
        for service in &services {
            match PodSet::find(&cluster.client, namespace, service, env).await {
                Ok(set) => sets.push(set),
                // A service without pods (a ConfigMap of its own) says nothing, unless it was asked for.
                Err(error) if self.services.is_empty() => context.ui.detail(error.to_string()),
                Err(error) => return Err(misspelt(error, known, service)),
            }
        }
        if sets.is_empty() {
            return Err(
                Error::failed(format!("nothing runs in namespace {namespace}"))
                    .hint("`dev up` makes the environment"),
            );
        }
        let options = LogOptions {
            follow: self.follow,
            since: self.since,
            tail: self.tail,
            previous: self.previous,
            container: self.container,
        };
        let form = match context.ui.format() {
            Format::Json => Form::Json,
            Format::Table | Format::Yaml => Form::Text {
                colour: console::colors_enabled(),
                timestamps: self.timestamps,
            },
        };
        let ui = &context.ui;
        let lines = stream(
            &cluster.client,
            &sets,
            &options,
            |line| ui.write(render(&line, form).as_bytes()),
            |notice| ui.note(notice),
        );
        tokio::select! {
            ended = lines => ended,
            // `dev logs -f web | head -1`: the next line may be long in coming.
            () = stdout_closed(), if options.follow => Ok(()),
        }
    }
}

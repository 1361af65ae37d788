//! `dev router uninstall`

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::cluster::remove::{DownOptions, down};
use crate::cluster::routers::{self, Restored};
use crate::cluster::{Cluster, access, guard};
use crate::commands::Context;
use crate::error::{Error, Result};
use crate::manifest::ObjectKey;
use crate::router::install::{ROUTER, stamp};
use crate::ui::{Task, took};

/// Restore every Service, then remove what `install` made
///
/// Services of the base are as their owners wrote them before the first router goes. Established connections may end by themselves.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev router uninstall --base bookshop
  dev router uninstall --now             ends established connections
  dev router uninstall --timeout 20m     for streams that last

Environments stay; requests with their names are answered by the base.")]
pub struct Uninstall {
    /// Do not wait until established connections through the routers have ended
    #[arg(long)]
    pub now: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Gone {
    base: String,
    context: String,
    restored: Restored,
    removed: Vec<ObjectKey>,
    seconds: f64,
}

impl Gone {
    fn nothing(cluster: &Cluster, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            context: cluster.context.clone(),
            restored: Restored::default(),
            removed: Vec::new(),
            seconds: 0.0,
        }
    }
}

impl Uninstall {
    /// Uninstalls the routers.
    pub async fn run(self, context: &Context, base: &str) -> Result<()> {
        let began = Instant::now();
        let ui = &context.ui;
        let cluster = context.connect().await?;
        let found = routers::find(&cluster, base).await?;
        guard::ensure_writable(&cluster, ui).await?;
        let inventory = cluster.read_inventory(base, &stamp()).await?;
        let listed = inventory.clone().unwrap_or_default();
        if found.is_nothing() && inventory.is_none() {
            ui.note(format!("there are no routers in {base}"));
            return ui.data(&Gone::nothing(&cluster, base), |_| String::new());
        }
        let attempt = format!("remove the routers of {base}");
        access::require(&cluster, &attempt, &routers::removal(&listed, base)).await?;
        if found.router.is_some() && inventory.is_none() {
            return Err(Error::failed(format!(
                "the routers in {base} were not installed by dev, or the record of it is gone"
            ))
            .reason("NoInventory")
            .hint(format!("`dev router install --base {base}` writes it anew")));
        }
        let task = ui.task(ROUTER);
        let done = self
            .remove(&cluster, base, found.has_control(), context, &task)
            .await;
        let (restored, removed) = match done {
            Ok(done) => done,
            Err(error) => {
                task.failed(error.message());
                return Err(error);
            }
        };
        task.done(match removed.len() {
            0 => "nothing to remove".to_owned(),
            count => format!("{count} objects removed ({})", took(began.elapsed())),
        });
        let gone = Gone {
            base: base.to_owned(),
            context: cluster.context.clone(),
            restored,
            removed,
            seconds: began.elapsed().as_secs_f64(),
        };
        ui.data(&gone, |_| String::new())
    }

    async fn remove(
        &self,
        cluster: &Cluster,
        base: &str,
        control: bool,
        context: &Context,
        task: &Task,
    ) -> Result<(Restored, Vec<ObjectKey>)> {
        let timeout = context.basics.timeout;
        let last = Mutex::new(String::new());
        let tell = |text: &str| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if *last != text {
                text.clone_into(&mut last);
                task.state(text);
            }
        };
        routers::set_uninstall(cluster, base, true).await?;
        let restored = routers::restore(cluster, base, control, &tell).await?;
        for (names, who) in [(&restored.by_control, "control"), (&restored.by_dev, "dev")] {
            if !names.is_empty() {
                context
                    .ui
                    .note(format!("restored by {who}: {}", names.join(", ")));
            }
        }
        tell("waiting until nothing leads to the routers");
        routers::await_departure(cluster, base).await?;
        tell("the routers finish their connections");
        let going = routers::delete_routers(cluster, base, timeout, &tell);
        if self.now {
            tokio::select! {
                gone = going => gone?,
                failed = routers::hurry(cluster, base) => failed?,
            }
        } else {
            going.await?;
        }
        let options = DownOptions {
            keep_namespace: true,
            timeout,
        };
        let report = down(cluster, &stamp(), base, &options, &tell).await?;
        if let Some(error) = report.failure() {
            return Err(error);
        }
        let mut removed = report.removed;
        removed.extend(routers::delete_leftovers(cluster, base, timeout).await?);
        Ok((restored, removed))
    }
}

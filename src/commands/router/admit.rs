//! `dev router admit` and `dev router revoke`

use clap::Args;
use serde::Serialize;

use crate::cluster::base::{Admitted, admission_right};
use crate::cluster::{Cluster, access, guard};
use crate::commands::Context;
use crate::error::{Error, Result};
use crate::manifest::names::is_label;
use crate::plan::NamespaceState;
use crate::router::admission::Admission;

/// Admit a namespace as an environment of the base
///
/// Requests that carry the environment's name reach its versions of services from then on. The name is that of --env, else the
/// namespace's own without the base's or the application's name and a dash.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev router admit bookshop-ann --base bookshop       requests with dev-env=ann
  dev router admit team-a-preview --env preview --base bookshop

The list is the ConfigMap dev-admission of the base. Labels of a namespace play no part: its
developer may write those.")]
pub struct Admit {
    /// The namespace
    #[arg(value_name = "NAMESPACE")]
    pub namespace: String,
}

/// Take the admission of an environment back
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev router revoke bookshop-ann --base bookshop
  dev router revoke ann                               by the name that requests carry

Nothing in the environment changes. Requests with its name are answered by the base.")]
pub struct Revoke {
    /// The namespace, or the name that requests carry
    #[arg(value_name = "NAMESPACE")]
    pub namespace: String,
}

#[derive(Serialize)]
struct Told<'a> {
    base: &'a str,
    namespace: &'a str,
    env: &'a str,
    /// Whether anything was written.
    changed: bool,
}

impl Admit {
    /// Admits the namespace.
    pub async fn run(self, context: &Context, base: &str) -> Result<()> {
        let app = context.project()?.map(|loaded| loaded.project.app);
        let named = context.globals.env.clone();
        let env = env_name(&self.namespace, named, base, app.as_deref())?;
        let cluster = context.connect().await?;
        guard::ensure_writable(&cluster, &context.ui).await?;
        let before = admission(&cluster, base).await?;
        check_free(&before, &self.namespace, &env)?;
        let right = [admission_right(base)].into();
        access::require(&cluster, &format!("admit environments of {base}"), &right).await?;
        let admitted = cluster
            .admit_environment(base, &self.namespace, &env)
            .await?;
        // Somebody else may have been first with the name.
        check_free(&admission(&cluster, base).await?, &self.namespace, &env)?;
        let changed = admitted == Admitted::Added;
        if cluster.namespace_state(&self.namespace).await? == NamespaceState::Absent {
            context.ui.note(format!(
                "there is no namespace {} yet: whoever makes it has the environment {env}",
                self.namespace
            ));
        }
        let told = Told {
            base,
            namespace: &self.namespace,
            env: &env,
            changed,
        };
        context.ui.data(&told, |told| {
            let how = if told.changed {
                "is admitted"
            } else {
                "was admitted already"
            };
            format!("{} {how} by {base} as {}", told.namespace, told.env)
        })
    }
}

impl Revoke {
    /// Takes the admission back.
    pub async fn run(self, context: &Context, base: &str) -> Result<()> {
        let cluster = context.connect().await?;
        guard::ensure_writable(&cluster, &context.ui).await?;
        let before = admission(&cluster, base).await?;
        let is_it = |entry: &&crate::router::admission::Admitted| {
            entry.namespace == self.namespace || entry.env == self.namespace
        };
        let found = before
            .environments
            .iter()
            .find(|entry| entry.namespace == self.namespace)
            .or_else(|| before.environments.iter().find(is_it));
        let (namespace, env) = match found {
            Some(entry) => (entry.namespace.clone(), entry.env.clone()),
            // One that does not count, such as the second of two, is taken out as well.
            None => (self.namespace.clone(), String::new()),
        };
        let right = [admission_right(base)].into();
        access::require(&cluster, &format!("admit environments of {base}"), &right).await?;
        let changed = cluster.dismiss_environment(base, &namespace).await?;
        let told = Told {
            base,
            namespace: &namespace,
            env: &env,
            changed,
        };
        context.ui.data(&told, |told| match told.changed {
            true => format!("{} is no environment of {base} any more", told.namespace),
            false => format!("{} was no environment of {base}", told.namespace),
        })
    }
}

async fn admission(cluster: &Cluster, base: &str) -> Result<Admission> {
    cluster.read_base(base).await?.admission.ok_or_else(|| {
        Error::failed(format!(
            "the base {base} has no routers, so it admits nobody"
        ))
        .reason("NoRouter")
        .hint(format!("`dev router install --base {base}` makes them"))
    })
}

/// The name that requests carry.
fn env_name(
    namespace: &str,
    named: Option<String>,
    base: &str,
    app: Option<&str>,
) -> Result<String> {
    if !is_label(namespace) {
        return Err(Error::usage(format!(
            "\"{namespace}\" is no name of a namespace"
        )));
    }
    if namespace == base {
        return Err(Error::usage(format!("{namespace} is the base itself")));
    }
    let after = |prefix: &str| namespace.strip_prefix(prefix)?.strip_prefix('-');
    let derived = after(base).or_else(|| after(app?));
    let env = match (named, derived) {
        (Some(named), _) => named,
        (None, Some(derived)) => derived.to_owned(),
        (None, None) => {
            return Err(
                Error::usage(format!("which name do requests for {namespace} carry?"))
                    .reason("NoEnvironmentName")
                    .hint(format!("`dev router admit {namespace} --env NAME`")),
            );
        }
    };
    if !is_label(&env) || env == crate::manifest::labels::BASE_VERSION {
        return Err(Error::usage(format!(
            "\"{env}\" cannot be the name of an environment: it is a DNS label, and not \"base\""
        )));
    }
    Ok(env)
}

fn check_free(admission: &Admission, namespace: &str, env: &str) -> Result<()> {
    for entry in &admission.environments {
        if entry.namespace == namespace && entry.env != env {
            return Err(Error::failed(format!(
                "{namespace} is admitted already, as {}",
                entry.env
            ))
            .reason("AdmittedOtherwise")
            .hint(format!("`dev router revoke {namespace}` first")));
        }
        if entry.env == env && entry.namespace != namespace {
            return Err(Error::failed(format!(
                "requests for {env} reach {} already",
                entry.namespace
            ))
            .reason("NameTaken")
            .hint("choose another name: --env NAME"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::admission::Admitted as Entry;

    #[test]
    fn the_name_is_what_the_namespace_adds_to_the_base_or_the_application() {
        for (namespace, named, expected) in [
            ("shop-ann", None, Some("ann")),
            ("store-bob", None, Some("bob")),
            ("other", None, None),
            ("other", Some("ann"), Some("ann")),
            ("shop-base", None, None),
            ("shop", Some("ann"), None),
            ("shop-ann", Some("Ann"), None),
            ("No", Some("ann"), None),
        ] {
            let found = env_name(namespace, named.map(str::to_owned), "shop", Some("store"));
            assert_eq!(found.ok().as_deref(), expected, "{namespace} {named:?}");
        }
    }

    #[test]
    fn a_name_and_a_namespace_belong_to_each_other() {
        let admission = Admission {
            environments: vec![Entry {
                namespace: "shop-ann".into(),
                env: "ann".into(),
            }],
            ..Admission::default()
        };
        assert_eq!(check_free(&admission, "shop-ann", "ann"), Ok(()));
        assert_eq!(check_free(&admission, "shop-bob", "bob"), Ok(()));
        let taken = check_free(&admission, "mallory", "ann").unwrap_err();
        assert_eq!(taken.reason_code(), Some("NameTaken"));
        let other = check_free(&admission, "shop-ann", "eve").unwrap_err();
        assert_eq!(other.reason_code(), Some("AdmittedOtherwise"));
    }
}

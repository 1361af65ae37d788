//! Whether a base admits an environment: asked of a person who may decide it, and taken back when the environment is gone.

use super::Scope;
use super::routing::header;
use crate::cluster::Cluster;
use crate::cluster::access;
use crate::cluster::base::{Admitted, Base, admission_right};
use crate::error::{Error, Result};
use crate::ui::Ui;

/// Whether and how the base admits the environment; the person is asked where they may admit it themselves. `yes`: they said so already.
pub async fn admit(
    base: &mut Base,
    scope: &Scope,
    cluster: &Cluster,
    yes: bool,
    ui: &Ui,
) -> Result<()> {
    let (namespace, env) = (scope.namespace.as_str(), scope.stamp.env.as_str());
    let taken = taken_by(base, namespace, env).is_some();
    if base.admission.is_none() || taken || base.env_of(namespace).is_some() {
        return Ok(());
    }
    if !access::allowed(cluster, &admission_right(&base.name)).await? {
        return Ok(());
    }
    let question = format!(
        "Let requests to {} with {} reach {namespace}? [y/N]",
        base.name,
        header(env)
    );
    let agreed = yes || (ui.can_ask() && is_yes(&ask(ui, question).await?));
    if !agreed {
        return Ok(());
    }
    if cluster
        .admit_environment(&base.name, namespace, env)
        .await?
        == Admitted::Added
    {
        ui.note(format!("{} admits {namespace} as \"{env}\" now", base.name));
    }
    *base = cluster.read_base(&base.name).await?;
    Ok(())
}

/// Says what is left of an environment in its base, and takes it away where its namespace is gone and the person may: whoever makes
/// a namespace of that name next would get its requests.
pub async fn dismiss(
    base: &str,
    namespace: &str,
    gone: bool,
    cluster: &Cluster,
    ui: &Ui,
) -> Result<()> {
    let found = match cluster.read_base(base).await {
        Ok(found) => found,
        // It was removed all the same.
        Err(error) => {
            ui.detail(error.to_string());
            return Ok(());
        }
    };
    let Some(env) = found.env_of(namespace) else {
        return Ok(());
    };
    if gone && access::allowed(cluster, &admission_right(base)).await? {
        cluster.dismiss_environment(base, namespace).await?;
        ui.note(format!(
            "{base} does not admit {namespace} as \"{env}\" any more"
        ));
    } else {
        ui.note(format!("{base} still admits {namespace} as \"{env}\""));
    }
    Ok(())
}

async fn ask(ui: &Ui, question: String) -> Result<String> {
    let ui = ui.clone();
    // Ctrl-C has to be heard while the terminal is read.
    tokio::task::spawn_blocking(move || ui.ask(&question))
        .await
        .map_err(|_| Error::interrupted())?
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes")
}

/// The other namespace that the base knows by this environment's name.
pub(super) fn taken_by(base: &Base, namespace: &str, env: &str) -> Option<String> {
    let admission = base.admission.as_ref()?;
    let other = admission
        .environments
        .iter()
        .find(|entry| entry.env == env)?;
    (other.namespace != namespace).then(|| other.namespace.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::admission::{Admission, Admitted as Entry};

    fn base(entries: &[(&str, &str)]) -> Base {
        let environments = entries.iter().map(|(namespace, env)| Entry {
            namespace: (*namespace).into(),
            env: (*env).into(),
        });
        Base {
            name: "shop".into(),
            admission: Some(Admission {
                environments: environments.collect(),
                ..Admission::default()
            }),
            ..Base::default()
        }
    }

    #[test]
    fn the_first_namespace_with_a_name_has_it() {
        let base = base(&[("shop-ann", "ann")]);
        assert_eq!(taken_by(&base, "shop-ann", "ann"), None);
        assert_eq!(
            taken_by(&base, "mallory", "ann").as_deref(),
            Some("shop-ann")
        );
        assert_eq!(taken_by(&base, "shop-bob", "bob"), None);
    }
}

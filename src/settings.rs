//! What was typed, turned into what it means: flags, then `DEV_*` variables, then `dev.yaml`, then defaults,
//! each value with its origin.

mod sets;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

pub use sets::Set;

use crate::cli::Globals;
use crate::error::{Error, Result};
use crate::project::{Loaded, Vars, label};
use crate::ui::{Format, Level};

/// The longest duration that a person can mean.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "from", content = "name")]
pub enum Origin {
    /// A flag of the command line.
    Flag(&'static str),
    /// A variable of the process's environment.
    Variable(&'static str),
    /// A key of `dev.yaml`.
    File(&'static str),
    /// A default, and what it was made from.
    Default(&'static str),
    /// The branch that is checked out, and the glob of a profile that it matches.
    Branch {
        /// The branch.
        branch: String,
        /// The glob.
        glob: String,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
            Self::File(key) => write!(f, "`{key}` of dev.yaml"),
            Self::Default(from) => write!(f, "default: {from}"),
            Self::Branch { branch, glob } => write!(f, "branch {branch} matches {glob}"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// The process's variables, as a function so that tests bring their own.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The first of flag and variable that is there.
fn typed<T>(
    flag: Option<T>,
    name: &'static str,
    variable: &'static str,
    variables: Variables<'_>,
    parse: impl Fn(String) -> Result<T>,
) -> Result<Option<Sourced<T>>> {
    if let Some(value) = flag {
        let origin = Origin::Flag(name);
        return Ok(Some(Sourced { value, origin }));
    }
    variables(variable)
        .filter(|text| !text.is_empty())
        .map(|text| {
            let origin = Origin::Variable(variable);
            parse(text).map(|value| Sourced { value, origin })
        })
        .transpose()
}

/// What is needed before `dev.yaml` is read: how to speak, and which file and cluster are meant.
#[derive(Clone, Debug)]
pub struct Basics {
    /// How much is said.
    pub level: Level,
    /// The form of data.
    pub format: Format,
    /// No colours.
    pub no_colour: bool,
    /// `-y`.
    pub yes: bool,
    /// The context of the kubeconfig.
    pub context: Option<String>,
    /// The `dev.yaml` that was named.
    pub file: Option<PathBuf>,
    /// How long to wait for readiness.
    pub timeout: Duration,
}

impl Basics {
    /// Resolves the settings that need no `dev.yaml`.
    pub fn resolve(globals: &Globals, variables: Variables<'_>) -> Result<Self> {
        let switch =
            |flag: bool, name: &str| -> Result<bool> { Ok(flag || truth(name, variables(name))?) };
        let format = typed(globals.output, "output", "DEV_OUTPUT", variables, |text| {
            <Format as clap::ValueEnum>::from_str(&text, true).map_err(|_| {
                Error::usage(format!(
                    "DEV_OUTPUT is \"{text}\", expected table, json or yaml"
                ))
            })
        })?;
        let timeout = typed(
            globals.timeout.clone(),
            "timeout",
            "DEV_TIMEOUT",
            variables,
            Ok,
        )?;
        let level = if switch(globals.quiet, "DEV_QUIET")? {
            Level::Quiet
        } else if switch(globals.verbose, "DEV_VERBOSE")? {
            Level::Verbose
        } else {
            Level::Normal
        };
        Ok(Self {
            level,
            format: format.map_or(Format::Table, |format| format.value),
            // https://no-color.org: present and not empty.
            no_colour: switch(globals.no_color, "DEV_NO_COLOR")?
                || variables("NO_COLOR").is_some_and(|value| !value.is_empty()),
            yes: switch(globals.yes, "DEV_YES")?,
            context: typed(
                globals.context.clone(),
                "context",
                "DEV_CONTEXT",
                variables,
                Ok,
            )?
            .map(|context| context.value),
            file: typed(
                globals.file.clone(),
                "file",
                "DEV_FILE",
                variables,
                |text| Ok(PathBuf::from(text)),
            )?
            .map(|file| file.value),
            timeout: match timeout {
                None => Duration::from_secs(300),
                Some(text) => duration(&text.value)
                    .map_err(|error| error.hint(format!("it was given by {}", text.origin)))?,
            },
        })
    }
}

/// Everything a command about an environment needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What does not depend on `dev.yaml`.
    pub basics: Basics,
    /// The project, its file and its folder.
    pub project: Loaded,
    /// The profile in force.
    pub profile: Sourced<String>,
    /// The environment's name.
    pub env: Sourced<String>,
    /// The namespace to work in.
    pub namespace: Sourced<String>,
    /// The namespace of the shared versions.
    pub base: Option<Sourced<String>>,
    /// The domain of the cluster's DNS.
    pub cluster_domain: Sourced<String>,
    /// Where images are pushed.
    pub registry: Option<Sourced<String>>,
    /// Template variables of the project and the profile.
    vars: Vars,
    /// `--set` and `DEV_SET`, in order; the later ones win.
    pub sets: Vec<Set>,
    /// The person, as the operating system names them.
    pub user: String,
    /// The services of the profile; `None`: all.
    pub services: Option<Vec<String>>,
    /// How long the environment lives, as written in the profile.
    pub ttl: Option<String>,
}

impl Settings {
    /// Resolves the settings from what was typed, the process's variables and the project. `branch` is the
    /// current branch of the project's repository.
    pub fn resolve(
        globals: &Globals,
        variables: Variables<'_>,
        basics: Basics,
        project: Loaded,
        branch: Option<&str>,
    ) -> Result<Self> {
        let user = variables("USER")
            .or_else(|| variables("LOGNAME"))
            .or_else(|| variables("USERNAME"))
            .unwrap_or_default();
        let profile = choose_profile(globals, variables, &project, branch)?;
        let chosen = project.project.profiles.get(&profile.value);
        let env = choose_env(globals, variables, &user)?;
        let base = typed(globals.base.clone(), "base", "DEV_BASE", variables, Ok)?
            .or_else(|| from_file(project.project.base.clone(), "base"));
        let registry = typed(
            globals.registry.clone(),
            "registry",
            "DEV_REGISTRY",
            variables,
            Ok,
        )?
        .or_else(|| from_file(chosen.and_then(|p| p.registry.clone()), "profiles.registry"))
        .or_else(|| from_file(project.project.registry.clone(), "registry"));
        let cluster_domain = cluster_domain(variables, &project)?;
        let app = &project.project.app;
        let namespace = typed(
            globals.namespace.clone(),
            "namespace",
            "DEV_NAMESPACE",
            variables,
            Ok,
        )?
        .unwrap_or_else(|| Sourced {
            value: format!("{app}-{}", env.value),
            origin: Origin::Default("<app>-<env>"),
        });
        check_label("the namespace", &namespace)?;
        if let Some(base) = &base {
            check_label("the base", base)?;
        }
        let mut vars = project.project.vars.clone();
        vars.extend(
            chosen
                .map(|profile| profile.vars.clone())
                .unwrap_or_default(),
        );
        Ok(Self {
            services: chosen.and_then(|profile| profile.services.clone()),
            ttl: chosen.and_then(|profile| profile.ttl.clone()),
            basics,
            project,
            profile,
            env,
            namespace,
            base,
            cluster_domain,
            registry,
            vars,
            sets: sets::read(&globals.set, variables("DEV_SET").as_deref())?,
            user,
        })
    }

    /// The folder of `dev.yaml`: every path in it is relative to it.
    pub fn root(&self) -> &Path {
        &self.project.root
    }

    /// The template variables of a service: project, profile, service, `--set`; the later ones win.
    pub fn vars(&self, of_service: &Vars) -> Vars {
        let mut vars = self.vars.clone();
        vars.extend(of_service.clone());
        for set in &self.sets {
            set.insert_into(&mut vars);
        }
        vars
    }

    /// The application's name.
    pub fn app(&self) -> &str {
        &self.project.project.app
    }

    /// Whether the environment lives beside other versions in a namespace that is not its own, so that its
    /// objects need names of their own.
    pub fn side_by_side(&self) -> bool {
        self.base
            .as_ref()
            .is_some_and(|base| base.value == self.namespace.value)
    }
}

fn from_file<T>(value: Option<T>, key: &'static str) -> Option<Sourced<T>> {
    let origin = Origin::File(key);
    value.map(|value| Sourced { value, origin })
}

fn choose_env(globals: &Globals, variables: Variables<'_>, user: &str) -> Result<Sourced<String>> {
    let env = typed(globals.env.clone(), "env", "DEV_ENV", variables, Ok)?;
    let env = match env {
        Some(env) => env,
        None => {
            let value = label::label_from(user).ok_or_else(|| {
                Error::usage(
                    "the environment has no name, and no user name is known to make one from",
                )
                .hint("name it: dev -e NAME …")
            })?;
            let origin = Origin::Default("your user name");
            Sourced { value, origin }
        }
    };
    check_label("the environment's name", &env)?;
    if env.value == "base" {
        return Err(Error::usage("no environment can be named \"base\"")
            .hint("`dev deploy` makes and updates the base itself"));
    }
    Ok(env)
}

fn choose_profile(
    globals: &Globals,
    variables: Variables<'_>,
    project: &Loaded,
    branch: Option<&str>,
) -> Result<Sourced<String>> {
    let profiles = &project.project.profiles;
    if let Some(named) = typed(
        globals.profile.clone(),
        "profile",
        "DEV_PROFILE",
        variables,
        Ok,
    )? {
        if named.value != "default" && !profiles.contains_key(&named.value) {
            let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
            let hint = crate::error::did_you_mean(&named.value, known.iter().copied())
                .unwrap_or_else(|| match known.is_empty() {
                    true => "dev.yaml has no `profiles`".to_owned(),
                    false => format!("dev.yaml has: {}", known.join(", ")),
                });
            return Err(Error::usage(format!(
                "there is no profile \"{}\" (from {})",
                named.value, named.origin
            ))
            .hint(hint));
        }
        return Ok(named);
    }
    let by_branch = branch.and_then(|branch| {
        let matches = |glob: &&String| {
            globset::Glob::new(glob).is_ok_and(|glob| glob.compile_matcher().is_match(branch))
        };
        profiles.iter().find_map(|(name, profile)| {
            let glob = profile.branches.iter().find(matches)?;
            Some(Sourced {
                value: name.clone(),
                origin: Origin::Branch {
                    branch: branch.to_owned(),
                    glob: glob.clone(),
                },
            })
        })
    });
    Ok(match by_branch {
        Some(chosen) => chosen,
        None => Sourced {
            value: "default".to_owned(),
            origin: Origin::Default("no branch matches"),
        },
    })
}

/// `DEV_CLUSTER_DOMAIN`, else `clusterDomain` of `dev.yaml`, else what nearly every cluster has.
fn cluster_domain(variables: Variables<'_>, project: &Loaded) -> Result<Sourced<String>> {
    let variable = "DEV_CLUSTER_DOMAIN";
    let domain = typed(None, "", variable, variables, Ok)?
        .or_else(|| from_file(project.project.cluster_domain.clone(), "clusterDomain"))
        .unwrap_or_else(|| Sourced {
            value: "cluster.local".to_owned(),
            origin: Origin::Default("cluster.local"),
        });
    label::check_domain(&domain.value).map_err(|why| {
        Error::usage(format!(
            "the domain of the cluster \"{}\" (from {}) {why}",
            domain.value, domain.origin
        ))
        .hint("for example: cluster.local")
    })?;
    Ok(domain)
}

fn check_label(what: &str, label: &Sourced<String>) -> Result<()> {
    label::check_label(&label.value).map_err(|why| {
        Error::usage(format!(
            "{what} \"{}\" (from {}) {why}",
            label.value, label.origin
        ))
        .maybe_hint(label::label_from(&label.value).map(|legal| format!("for example: {legal}")))
    })
}

/// A duration as people write it: `90s`, `5m`, `1h30m`, `250ms`. Without a unit it is an error.
pub fn duration(text: &str) -> Result<Duration> {
    let found = humantime::parse_duration(text).map_err(|_| {
        Error::usage(format!("\"{text}\" is no duration"))
            .hint("write it with units, such as 90s, 5m or 1h30m")
    })?;
    // Added to the time of now, it must still be a time.
    if found > LONGEST {
        return Err(Error::usage(format!(
            "\"{text}\" is longer than a hundred years"
        )));
    }
    Ok(found)
}

/// The same for flags, of whose errors clap tells one sentence.
pub fn duration_flag(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|error| format!("{error}; {}", error.hints().join("; ")))
}

fn truth(name: &str, value: Option<String>) -> Result<bool> {
    match value.as_deref() {
        None | Some("" | "0" | "false" | "no") => Ok(false),
        Some("1" | "true" | "yes") => Ok(true),
        Some(other) => Err(Error::usage(format!(
            "{name} is \"{other}\", expected true or false"
        ))),
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! Gives Secrets of the base to environments, keeps them as the base's are, takes them away: as the account `dev-provisioner`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::write::{Path, Written};
use crate::control::secrets::{
    GIVEN, PROVISIONER, Place, Wishes, ask, copy, fingerprint, record, recorded, replace, unrecord,
};
use crate::error::{Error, Result};

/// How often the base's Secrets are read again, while somebody has copies of them.
const EVERY: Duration = Duration::from_secs(20);
/// The pause after something could not be given; doubled up to [`EVERY`].
const FIRST: Duration = Duration::from_secs(1);
/// After so many rounds every copy is written again: somebody may have deleted it.
const ALL_AGAIN: u32 = 15;
/// How long a whole round may take: one that hangs is given up, and begun again.
const LONGEST: Duration = Duration::from_secs(60);

/// How it is with one copy. Fields are added, never changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct SecretReport {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Whether it is there, as the base's is.
    pub(super) given: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// See the module.
pub(super) struct Secrets {
    base: String,
    /// As the account; `None` where it cannot be used.
    provisioner: Option<Cluster>,
    known: Known,
    wishes: Wishes,
    /// Whether what is not wished for is to be taken away.
    may_take: bool,
    running: JoinSet<Known>,
    again: Instant,
    /// Before a round after one in which something could not be given.
    pause: Duration,
}

/// What is known of copies.
#[derive(Clone, Debug, Default)]
struct Known {
    /// What the record in the base says; `None`: not read yet.
    recorded: Option<BTreeSet<Place>>,
    /// Fingerprints of what was written.
    written: BTreeMap<Place, String>,
    /// Why a copy is not as it should be.
    failures: BTreeMap<Place, String>,
    /// What went wrong with all of them.
    trouble: Option<String>,
    rounds: u32,
}

impl Secrets {
    pub(super) fn new(base: &str, provisioner: Option<Cluster>) -> Self {
        Self {
            base: base.to_owned(),
            provisioner,
            known: Known::default(),
            wishes: Wishes::default(),
            may_take: false,
            running: JoinSet::new(),
            again: Instant::now(),
            pause: FIRST,
        }
    }

    /// From now on this is wished for. `may_take`: whether the list of the base was read without doubt. Gives when it wants to be called again.
    pub(super) fn tend(&mut self, wishes: Wishes, may_take: bool) -> Instant {
        let now = Instant::now();
        if wishes != self.wishes || may_take != self.may_take {
            self.again = now;
        }
        self.wishes = wishes;
        self.may_take = may_take;
        if let Some(provisioner) = &self.provisioner
            && self.running.is_empty()
            && self.again <= now
        {
            self.again = now + EVERY;
            let round = Round {
                base: self.base.clone(),
                cluster: provisioner.clone(),
                wishes: self.wishes.clone(),
                may_take: self.may_take,
            };
            let known = self.known.clone();
            self.running.spawn(async move {
                let before = known.clone();
                match tokio::time::timeout(LONGEST, round.run(known)).await {
                    Ok(known) => known,
                    Err(_) => Known {
                        trouble: Some(format!(
                            "Secrets are not given: no answer within {} s",
                            LONGEST.as_secs()
                        )),
                        ..before
                    },
                }
            });
        }
        self.again
    }

    /// Waits until a round has ended.
    pub(super) async fn changed(&mut self) {
        match self.running.join_next().await {
            Some(Ok(known)) => {
                // An environment's permission may come a moment after its wish.
                if known.failures.is_empty() {
                    self.pause = FIRST;
                } else {
                    self.again = self.again.min(Instant::now() + self.pause);
                    self.pause = (self.pause * 2).min(EVERY);
                }
                self.known = known;
            }
            // It was cut short: there will be another.
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }

    pub(super) fn report(&self) -> Vec<SecretReport> {
        let report = |place: &Place| {
            let why = match (&self.provisioner, self.known.failures.get(place)) {
                (None, _) => Some("the account that gives Secrets cannot be used".to_owned()),
                (Some(_), Some(why)) => Some(why.clone()),
                (Some(_), None) if self.known.written.contains_key(place) => None,
                (Some(_), None) => Some("not yet".to_owned()),
            };
            SecretReport {
                namespace: place.namespace.clone(),
                name: place.name.clone(),
                given: why.is_none(),
                why,
            }
        };
        self.wishes.wanted.keys().map(report).collect()
    }

    pub(super) fn troubles(&self) -> Vec<String> {
        let problems = self.wishes.problems.iter().map(ToString::to_string);
        problems.chain(self.known.trouble.clone()).collect()
    }
}

/// One round: reads what is shared, writes what differs.
struct Round {
    base: String,
    cluster: Cluster,
    wishes: Wishes,
    may_take: bool,
}

impl Round {
    async fn run(&self, mut known: Known) -> Known {
        known.trouble = None;
        known.rounds += 1;
        if known.rounds >= ALL_AGAIN {
            known.rounds = 0;
            known.written.clear();
        }
        if let Err(error) = self.try_run(&mut known).await {
            known.trouble = Some(format!("{error}: {}", error.causes().join(": ")));
        }
        known
    }

    async fn try_run(&self, known: &mut Known) -> Result<()> {
        let maps = Path::namespaced("/api/v1", &self.base, "configmaps");
        let own = Path::namespaced("/api/v1", &self.base, "secrets");
        if known.recorded.is_none() {
            known.recorded = match self.cluster.read_at(&maps, GIVEN).await {
                Ok(record) => Some(record.map(|it| recorded(&it)).unwrap_or_default()),
                // Where nothing is shared there is no record, nor the right to read it.
                Err(error) if self.wishes.wanted.is_empty() => {
                    tracing::debug!(%error, "no record of Secrets");
                    Some(BTreeSet::new())
                }
                Err(error) => return Err(error),
            };
        }
        let mut sources: BTreeMap<&str, Option<Value>> = BTreeMap::new();
        for place in self.wishes.wanted.keys() {
            if !sources.contains_key(place.name.as_str()) {
                let source = self.cluster.read_at(&own, &place.name).await?;
                sources.insert(&place.name, source);
            }
        }
        for (place, owners) in &self.wishes.wanted {
            let outcome = match sources.get(place.name.as_str()) {
                Some(Some(source)) => match copy(&self.base, place, source, owners) {
                    Ok(copy) => self.give(place, &copy, known, &maps).await,
                    Err(why) => Err(why),
                },
                Some(None) | None => Err(format!("the base has no Secret {}", place.name)),
            };
            match outcome {
                Ok(()) => known.failures.remove(place),
                Err(why) => known.failures.insert(place.clone(), why),
            };
        }
        let wanted = |place: &Place| self.wishes.wanted.contains_key(place);
        known.failures.retain(|place, _| wanted(place));
        // What nobody wishes for may be deleted by whoever gave up the copy that needed it: a new wish is a new copy.
        known.written.retain(|place, _| wanted(place));
        if self.may_take {
            let given = known.recorded.clone().unwrap_or_default();
            for place in given.iter().filter(|place| !wanted(place)) {
                self.take(place, known, &maps).await?;
            }
        }
        Ok(())
    }

    /// Writes a copy, if it is not as this process has written it.
    async fn give(
        &self,
        place: &Place,
        copy: &Value,
        known: &mut Known,
        maps: &Path,
    ) -> Result<(), String> {
        let print = fingerprint(copy);
        if known.written.get(place) == Some(&print) {
            return Ok(());
        }
        let secrets = Path::namespaced("/api/v1", &place.namespace, "secrets");
        let is_recorded = |known: &Known| {
            known
                .recorded
                .as_ref()
                .is_some_and(|all| all.contains(place))
        };
        if !is_recorded(known) {
            done(
                self.merge(maps, &record(place)).await,
                "record what is given",
            )?;
            known.recorded.get_or_insert_default().insert(place.clone());
        }
        let made = self.cluster.create_at(&secrets, PROVISIONER, copy).await;
        let there = match made {
            Written::Done(_) => {
                self.wrote(place, print, known);
                return Ok(());
            }
            Written::Outdated => {
                let patch = replace(&self.base, place, copy);
                self.cluster
                    .json_patch_at(&secrets, &place.name, PROVISIONER, &patch)
                    .await
            }
            Written::Failed(error) => return Err(refused(&self.base, place, &error)),
        };
        match there {
            Written::Done(_) => {
                self.wrote(place, print, known);
                Ok(())
            }
            Written::Outdated => Err(format!(
                "{} has another Secret {}, which is used in its place",
                place.namespace, place.name
            )),
            Written::Failed(error) => Err(refused(&self.base, place, &error)),
        }
    }

    fn wrote(&self, place: &Place, print: String, known: &mut Known) {
        tracing::info!(%place, "given");
        known.written.insert(place.clone(), print);
    }

    /// Deletes a copy, and nothing that is none.
    async fn take(&self, place: &Place, known: &mut Known, maps: &Path) -> Result<()> {
        let secrets = Path::namespaced("/api/v1", &place.namespace, "secrets");
        let patch = ask(&self.base, place);
        let asked = self
            .cluster
            .json_patch_at(&secrets, &place.name, PROVISIONER, &patch)
            .await;
        let uid = match &asked {
            Written::Done(secret) => secret["metadata"]["uid"].as_str(),
            // Gone, or somebody else's by now.
            Written::Outdated => None,
            Written::Failed(error) => {
                // The namespace may be gone, and with it the right to look.
                tracing::debug!(%place, %error, "cannot be taken away");
                return Ok(());
            }
        };
        if let Some(uid) = uid {
            match self.cluster.delete_at(&secrets, &place.name, uid).await {
                Written::Done(_) | Written::Outdated => tracing::info!(%place, "taken away"),
                Written::Failed(error) => return Err(error),
            }
        }
        known.written.remove(place);
        match self.merge(maps, &unrecord(place)).await {
            Written::Done(_) | Written::Outdated => {}
            Written::Failed(error) => return Err(error),
        }
        if let Some(recorded) = &mut known.recorded {
            recorded.remove(place);
        }
        Ok(())
    }

    async fn merge(&self, maps: &Path, patch: &Value) -> Written {
        self.cluster
            .merge_patch_at(maps, GIVEN, PROVISIONER, patch)
            .await
    }
}

fn done(written: Written, what: &str) -> Result<(), String> {
    match written {
        Written::Done(_) => Ok(()),
        Written::Outdated => Err(format!("cannot {what}: there is no ConfigMap {GIVEN}")),
        Written::Failed(error) => Err(format!("cannot {what}: {error}")),
    }
}

/// With what gives the account the right, where that is missing.
fn refused(base: &str, place: &Place, error: &Error) -> String {
    let Place { namespace, name } = place;
    if error.reason_code() != Some("MissingRight") {
        return error.to_string();
    }
    format!(
        "{namespace} does not let {PROVISIONER} write it: \
         kubectl -n {namespace} create role {PROVISIONER}-{name} --verb=create,patch,delete --resource=secrets && \
         kubectl -n {namespace} create rolebinding {PROVISIONER}-{name} --role={PROVISIONER}-{name} --serviceaccount={base}:{PROVISIONER}"
    )
}

//! PURE: whose each object in a namespace is, when the environment is removed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::Resource;
use crate::manifest::labels::{self, Stamp};
use crate::plan::{ClaimTemplate, Holder, Live, holder};

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The environment's: it is deleted.
    Owned,
    /// The environment's, but marked to be kept.
    Kept,
    /// It belongs to another object of the namespace, and goes or stays with that.
    Dependent,
    /// Kubernetes makes it in every namespace, or for every Service.
    Ambient,
    /// Somebody else's.
    Foreign,
}

/// An object that was found.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) kind: Resource,
    pub(super) live: Live,
    /// The inventory lists it.
    pub(super) recorded: bool,
}

/// What an earlier look showed: of what was deleted since, what it took along may still be there for a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Earlier {
    /// The uids of what was the environment's, and of what went with it.
    going: BTreeSet<String>,
    services: BTreeSet<String>,
    accounts: BTreeSet<String>,
}

/// Whose all the objects of a namespace are, in their order. `claims`: the templates of the environment's StatefulSets.
///
/// The environment's is what carries its labels, or is recorded, and was applied by `dev`: labels alone can be copied by anybody. What
/// is made by machine is known by what it was made for: its owner has to be in the namespace too.
pub(super) fn classify(
    seen: &[Sighting],
    stamp: &Stamp,
    claims: &BTreeSet<ClaimTemplate>,
    earlier: &Earlier,
) -> Vec<Class> {
    let mut own: Vec<Option<Class>> = seen.iter().map(|one| one.own(stamp)).collect();
    let mut claims = claims.clone();
    for (one, class) in seen.iter().zip(&own) {
        if class.is_some() {
            claims.extend(ClaimTemplate::of(&one.key(), &one.live.value));
        }
    }
    for (one, class) in seen.iter().zip(&mut own) {
        if class.is_none() {
            *class = one.own_claim(stamp, &claims);
        }
    }
    let family = Family::new(seen, &own, earlier);
    (0..seen.len()).map(|at| family.class(at)).collect()
}

impl Earlier {
    /// What is to be remembered of a look.
    pub(super) fn of(seen: &[Sighting], classes: &[Class], before: &Self) -> Self {
        let own: Vec<Option<Class>> = classes
            .iter()
            .map(|class| matches!(class, Class::Owned | Class::Kept).then_some(*class))
            .collect();
        let family = Family::new(seen, &own, before);
        let going = (0..seen.len()).filter(|at| family.root(*at) == Root::Ours);
        let going = going.map(|at| seen[at].uid().to_owned()).collect();
        Self {
            going,
            services: family.names_of("Service"),
            accounts: family.names_of("ServiceAccount"),
        }
    }
}

impl Sighting {
    fn metadata(&self) -> &serde_json::Value {
        &self.live.value["metadata"]
    }

    fn name(&self) -> &str {
        self.metadata()["name"].as_str().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.metadata()["uid"].as_str().unwrap_or_default()
    }

    /// The uids of its owners.
    fn owners(&self) -> impl Iterator<Item = &str> {
        let owners = self.metadata()["ownerReferences"].as_array();
        owners
            .into_iter()
            .flatten()
            .map(|owner| owner["uid"].as_str().unwrap_or_default())
    }

    fn is(&self, group: &str, kind: &str) -> bool {
        self.kind.group() == group && self.kind.kind == kind
    }

    fn key(&self) -> crate::manifest::ObjectKey {
        crate::manifest::ObjectKey {
            api_version: self.kind.api_version.clone(),
            kind: self.kind.kind.clone(),
            namespace: None,
            name: self.name().to_owned(),
        }
    }

    /// Whether `dev` made it for this environment, whoever owns it by now. Pods carry the labels of the environment too, but nobody
    /// recorded or applied them.
    fn own(&self, stamp: &Stamp) -> Option<Class> {
        let is_inventory =
            self.is("", "ConfigMap") && self.name() == labels::inventory_name(&stamp.env);
        let made = self.recorded || self.live.owned.is_some() || is_inventory;
        (made && holder(&self.live, stamp, self.recorded) == Holder::Us).then(|| self.kept_or_not())
    }

    /// Whether it is a claim that a StatefulSet of the environment made.
    fn own_claim(&self, stamp: &Stamp, claims: &BTreeSet<ClaimTemplate>) -> Option<Class> {
        let made = self.is("", "PersistentVolumeClaim")
            && claims.iter().any(|template| template.names(self.name()));
        (made && holder(&self.live, stamp, false) == Holder::Us).then(|| self.kept_or_not())
    }

    fn kept_or_not(&self) -> Class {
        let marked = ["annotations", "labels"]
            .iter()
            .any(|map| self.metadata()[*map][labels::KEEP] == "true");
        if marked { Class::Kept } else { Class::Owned }
    }
}

/// Kinds of which every object passes by itself or is only a view; nobody's work is lost with them.
pub(super) fn is_passing(kind: &Resource) -> bool {
    matches!(
        (kind.group(), kind.kind.as_str()),
        ("" | "events.k8s.io", "Event") | ("metrics.k8s.io", _)
    )
}

/// What controllers of Kubernetes and of widespread extensions put into every namespace.
fn is_in_every_namespace(one: &Sighting) -> bool {
    let name = one.name();
    match (one.kind.group(), one.kind.kind.as_str()) {
        ("", "ServiceAccount") => matches!(name, "default" | "builder" | "deployer"),
        ("", "ConfigMap") => matches!(
            name,
            "kube-root-ca.crt"
                | "istio-ca-root-cert"
                | "openshift-service-ca.crt"
                | "linkerd-identity-trust-roots"
        ),
        // Pull secrets of OpenShift's own registry, for each account.
        ("", "Secret") => one.metadata()["annotations"]
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::keys)
            .any(|key| {
                key.starts_with("openshift.io/token-secret.")
                    || key.starts_with("openshift.io/internal-registry-auth-token.")
            }),
        ("rbac.authorization.k8s.io", "RoleBinding") => matches!(
            name,
            "system:image-pullers" | "system:image-builders" | "system:deployers"
        ),
        _ => false,
    }
}

/// What an object comes from, by its owners, their owners, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    /// The environment.
    Ours,
    /// Objects of somebody else in this namespace: they are looked at by themselves.
    Theirs,
    /// Nothing that was seen here.
    Unknown,
}

/// The objects of a namespace and how they belong together.
struct Family<'a> {
    seen: &'a [Sighting],
    own: &'a [Option<Class>],
    earlier: &'a Earlier,
    by_uid: BTreeMap<&'a str, usize>,
    /// The roots that are known already; of objects that are being looked at, [`Root::Unknown`].
    roots: RefCell<BTreeMap<usize, Root>>,
    services: BTreeSet<&'a str>,
    /// Accounts of the environment.
    accounts: BTreeSet<&'a str>,
}

impl<'a> Family<'a> {
    fn new(seen: &'a [Sighting], own: &'a [Option<Class>], earlier: &'a Earlier) -> Self {
        let named = seen.iter().enumerate();
        let by_uid = named.map(|(at, one)| (one.uid(), at)).collect();
        let of = |kind: &'static str, ours: bool| {
            let all = seen.iter().zip(own);
            all.filter(move |(one, own)| one.is("", kind) && (own.is_some() || !ours))
                .map(|(one, _)| one.name())
        };
        Self {
            seen,
            own,
            earlier,
            by_uid,
            roots: RefCell::default(),
            services: of("Service", false).collect(),
            accounts: of("ServiceAccount", true).collect(),
        }
    }

    fn names_of(&self, kind: &str) -> BTreeSet<String> {
        let (names, before) = match kind {
            "Service" => (&self.services, &self.earlier.services),
            _ => (&self.accounts, &self.earlier.accounts),
        };
        let names = names.iter().map(|name| (*name).to_owned());
        names.chain(before.iter().cloned()).collect()
    }

    fn class(&self, at: usize) -> Class {
        let one = &self.seen[at];
        if let Some(class) = self.own[at] {
            return class;
        }
        if is_passing(&one.kind) || is_in_every_namespace(one) || self.is_of_a_service(one) {
            return Class::Ambient;
        }
        let has_owner = one.owners().next().is_some();
        if self.is_of_our_account(one) || has_owner && self.root(at) != Root::Unknown {
            return Class::Dependent;
        }
        Class::Foreign
    }

    /// Where an object comes from. Owners in a circle come from nowhere.
    fn root(&self, at: usize) -> Root {
        if let Some(known) = self.roots.borrow().get(&at) {
            return *known;
        }
        self.roots.borrow_mut().insert(at, Root::Unknown);
        let root = self.find_root(&self.seen[at], self.own[at].is_some());
        self.roots.borrow_mut().insert(at, root);
        root
    }

    fn find_root(&self, one: &Sighting, own: bool) -> Root {
        if own {
            return Root::Ours;
        }
        let mut roots = one.owners().map(|uid| match self.by_uid.get(uid) {
            Some(owner) => self.root(*owner),
            None if self.earlier.going.contains(uid) => Root::Ours,
            None => Root::Unknown,
        });
        match roots.next() {
            // The garbage collector deletes an object when the last of its owners is gone.
            Some(first) => roots.fold(first, |sum, root| match (sum, root) {
                (Root::Unknown, _) | (_, Root::Unknown) => Root::Unknown,
                (Root::Theirs, _) | (_, Root::Theirs) => Root::Theirs,
                (Root::Ours, Root::Ours) => Root::Ours,
            }),
            // Slices are mirrored from these.
            None if self.is_of_a_service(one) => Root::Ours,
            // What is in every namespace is no owner of anything that goes with it unasked.
            None if is_passing(&one.kind) || is_in_every_namespace(one) => Root::Unknown,
            None if self.is_of_our_account(one) => Root::Ours,
            None => Root::Theirs,
        }
    }

    /// Endpoints have no owner, but the name of their Service, and go with it.
    fn is_of_a_service(&self, one: &Sighting) -> bool {
        one.is("", "Endpoints")
            && (self.services.contains(one.name()) || self.earlier.services.contains(one.name()))
    }

    /// Kubernetes deletes the tokens of an account with it.
    fn is_of_our_account(&self, one: &Sighting) -> bool {
        let account = &one.metadata()["annotations"]["kubernetes.io/service-account.name"];
        one.is("", "Secret")
            && account.as_str().is_some_and(|account| {
                self.accounts.contains(account) || self.earlier.accounts.contains(account)
            })
    }
}

#[cfg(test)]
mod tests;

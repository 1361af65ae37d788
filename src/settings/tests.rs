use super::*;
use std::collections::BTreeMap;

const FILE: &str = "
app: shop
base: shop
registry: localhost:5000
vars: {colour: red, size: 1}
services:
  web: {manifests: k8s/}
profiles:
  zeta: {branches: ['pr-*'], vars: {colour: blue}}
  alpha: {branches: ['pr-1*']}
";

fn resolve(globals: Globals, variables: &[(&str, &str)], branch: Option<&str>) -> Result<Settings> {
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let lookup = |name: &str| variables.get(name).cloned();
    let loaded = Loaded::parse(FILE, Path::new("dev.yaml"))?;
    let basics = Basics::resolve(&globals, &lookup)?;
    Settings::resolve(&globals, &lookup, basics, loaded, branch)
}

/// The settings of a person `ann` for this `dev.yaml`.
pub(crate) fn settings(file: &str) -> Settings {
    let lookup = |name: &str| (name == "USER").then(|| "ann".to_owned());
    let loaded = Loaded::parse(file, Path::new("dev.yaml")).unwrap();
    let globals = Globals::default();
    let basics = Basics::resolve(&globals, &lookup).unwrap();
    Settings::resolve(&globals, &lookup, basics, loaded, None).unwrap()
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let user = ("USER", "Ada.L");
    let settings = resolve(Globals::default(), &[user], None).unwrap();
    assert_eq!(settings.env.value, "ada-l");
    assert_eq!(settings.namespace.value, "shop-ada-l");
    assert_eq!(
        settings.registry.as_ref().unwrap().origin,
        Origin::File("registry")
    );

    let variables = [user, ("DEV_ENV", "two"), ("DEV_REGISTRY", "r:1")];
    let settings = resolve(Globals::default(), &variables, None).unwrap();
    assert_eq!(settings.env.origin, Origin::Variable("DEV_ENV"));
    assert_eq!(settings.registry.unwrap().value, "r:1");

    let globals = Globals {
        env: Some("three".into()),
        ..Globals::default()
    };
    let settings = resolve(globals, &variables, None).unwrap();
    assert_eq!(settings.env.value, "three");
    assert_eq!(settings.env.origin, Origin::Flag("env"));
}

#[test]
fn the_first_profile_of_the_file_whose_branches_match_is_taken() {
    let user = [("USER", "ada")];
    let settings = resolve(Globals::default(), &user, Some("pr-12")).unwrap();
    assert_eq!(settings.profile.value, "zeta");
    assert_eq!(settings.vars(&Vars::new())["colour"], "blue");
    let settings = resolve(Globals::default(), &user, Some("main")).unwrap();
    assert_eq!(settings.profile.value, "default");
    let globals = Globals {
        profile: Some("alpah".into()),
        ..Globals::default()
    };
    let error = resolve(globals, &user, None).unwrap_err();
    assert_eq!(error.hints(), ["did you mean \"alpha\"?"]);
}

#[test]
fn set_overrides_one_variable_and_makes_paths() {
    let globals = Globals {
        set: vec!["colour=green".into(), "vars.db.host=x=y".into()],
        ..Globals::default()
    };
    let settings = resolve(globals, &[("USER", "ada")], None).unwrap();
    assert_eq!(settings.vars(&Vars::new())["colour"], "green");
    assert_eq!(settings.vars(&Vars::new())["db"]["host"], "x=y");
    let of_service = Vars::from([("colour".into(), 1.into()), ("size".into(), 2.into())]);
    assert_eq!(settings.vars(&of_service)["colour"], "green");
    assert_eq!(settings.vars(&of_service)["size"], 2);
}

#[test]
fn illegal_and_over_long_names_are_refused_with_a_legal_one() {
    let env = |name: &str| Globals {
        env: Some(name.into()),
        ..Globals::default()
    };
    let error = resolve(env("My_Env"), &[], None).unwrap_err();
    assert_eq!(error.hints(), ["for example: my-env"]);
    let error = resolve(env(&"x".repeat(60)), &[], None).unwrap_err();
    assert!(error.message().contains("65 characters"), "{error}");
    assert!(resolve(env("base"), &[], None).is_err());
}

#[test]
fn durations_have_units() {
    assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5400));
    assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
    for wrong in [
        "",
        "5",
        "m",
        "5x",
        "-1s",
        "99999999999999999999h",
        "500000000000y",
    ] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}

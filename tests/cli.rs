//! The command line itself: help, version, completions, schema, manual, usage errors.

use crate::support::project::Project;

#[test]
fn version_and_help_are_data_on_stdout() {
    let project = Project::new(&[]);
    let run = project.dev(&["--version"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(run.stdout, format!("dev {}\n", env!("CARGO_PKG_VERSION")));
    let run = project.dev(&["--help"]);
    assert_eq!(run.code, 0);
    assert!(run.stdout.contains("Examples:"));
}

#[test]
fn every_command_has_help_with_examples() {
    let project = Project::new(&[]);
    let help = project.dev(&["--help"]).stdout;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 15, "{commands:?}");
    for command in commands {
        let run = project.dev(&[command, "--help"]);
        assert_eq!(run.code, 0, "{command}");
        assert!(
            run.stdout.contains("Examples:"),
            "{command}: {}",
            run.stdout
        );
    }
}

#[test]
fn a_misspelt_command_is_wrong_usage_with_a_proposal() {
    let run = Project::new(&[]).dev(&["staus"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("status"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

#[test]
fn without_a_project_the_next_step_is_told() {
    let run = Project::new(&[]).dev(&["render"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("there is no dev.yaml"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("Hint:"), "{}", run.stderr);
}

#[test]
fn completions_schema_and_manual_are_printed() {
    let project = Project::new(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = project.dev(&["completions", shell]);
        assert_eq!(run.code, 0, "{shell}");
        assert!(run.stdout.contains("dev"), "{shell}");
    }
    let schema: serde_json::Value = serde_json::from_str(&project.dev(&["schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "dev.yaml");
    assert!(project.dev(&["man"]).stdout.contains(".TH dev 1"));
}

#[test]
fn an_error_is_json_where_json_was_asked_for() {
    let run = Project::new(&[("dev.yaml", "app: Wrong\nservices: {x: {manifests: m}}\n")])
        .dev(&["validate", "-o", "json"]);
    assert_eq!(run.code, 2);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(error["exitCode"], 2);
    assert_eq!(error["error"]["place"]["line"], 1);
}

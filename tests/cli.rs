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
    let project = Project::new(&[]);
    for (typed, meant) in [
        ("staus", "status"),
        ("pu", "up"),
        ("u", "up"),
        ("donw", "down"),
        ("lgo", "logs"),
        ("dif", "diff"),
        ("rl", "url"),
        ("destroy", "down"),
        ("apply", "up"),
        ("log", "logs"),
    ] {
        let run = project.dev(&[typed]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{typed}");
        let words = format!("'{meant}'");
        assert!(run.stderr.contains(&words), "{typed}: {}", run.stderr);
    }
    let far = project.dev(&["frobnicate"]).stderr;
    assert!(!far.contains("similar"), "{far}");
}

#[test]
fn help_has_help_of_its_own() {
    let project = Project::new(&[]);
    for args in [
        &["help", "--help"][..],
        &["help", "-h"],
        &["router", "help", "--help"],
    ] {
        let run = project.dev(args);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{args:?}");
        assert!(run.stdout.contains("Usage:"), "{args:?}: {}", run.stdout);
    }
    let run = project.dev(&["help", "router", "install"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("dev router install"), "{}", run.stdout);
}

/// Every command and subcommand that is not hidden, with the words that lead to it.
fn commands(from: &clap::Command, words: &[String], found: &mut Vec<(Vec<String>, clap::Command)>) {
    for command in from.get_subcommands().filter(|one| !one.is_hide_set()) {
        let words = [words, &[command.get_name().to_owned()]].concat();
        commands(command, &words, found);
        found.push((words, command.clone()));
    }
}

#[test]
fn every_help_has_examples_of_commands_that_exist_and_fits_100_columns() {
    use clap::CommandFactory;
    let root = dev::cli::Cli::command();
    let mut all = Vec::new();
    commands(&root, &[], &mut all);
    assert!(all.len() >= 25, "{}", all.len());
    all.push((Vec::new(), root.clone()));
    let project = Project::new(&[]);
    for (words, command) in &all {
        let name = words.join(" ");
        // Before the terminal's width comes in: a line that is longer is broken where it was not meant to be.
        let after = command.get_after_help().map(ToString::to_string);
        let after = after.unwrap_or_default();
        assert!(after.contains("Examples:"), "{name} has no examples");
        for line in after.lines() {
            // clap begins a new one at 100.
            assert!(line.chars().count() < 100, "{name}: {line}");
        }
        assert!(
            after.contains(format!("dev {name}").trim_end()),
            "{name} is not in its own examples: {after}"
        );
        let args: Vec<&str> = words.iter().map(String::as_str).collect();
        let run = project.dev(&[&args[..], &["--help"]].concat());
        assert_eq!(run.code, 0, "{name}: {}", run.stderr);
        for line in run.stdout.lines() {
            assert!(line.chars().count() <= 100, "{name}: {line}");
        }
    }
}

#[test]
fn every_example_can_be_typed() {
    use clap::{CommandFactory, Parser};
    let root = dev::cli::Cli::command();
    let mut all = Vec::new();
    commands(&root, &[], &mut all);
    let after = root.get_after_help().unwrap().to_string();
    let helps = all
        .iter()
        .filter_map(|(_, command)| command.get_after_help());
    let mut count = 0;
    for help in helps.map(ToString::to_string).chain([after]) {
        for line in help.lines().filter(|line| line.starts_with("  ")) {
            let Some(start) = line.find("dev ").filter(|at| *at == 2) else {
                continue;
            };
            // What follows on the line: two spaces before a remark, or another program.
            let text = line[start..].split("  ").next().unwrap_or_default();
            let text = text.split(['|', '>', '&']).next().unwrap_or_default();
            let words: Vec<&str> = text.split_whitespace().collect();
            let typed = dev::cli::Cli::try_parse_from(&words);
            assert!(typed.is_ok(), "{text}: {}", typed.unwrap_err());
            count += 1;
        }
    }
    assert!(count >= 60, "{count}");
}

#[test]
fn a_hint_is_the_command_with_what_was_typed() {
    let project = Project::new(&[(
        "else where/dev.yaml",
        "app: shop\nservices: {x: {manifests: m}}\n",
    )]);
    let args = ["up", "-f", "else where/dev.yaml", "-e", "base", "-n", "x"];
    let run = project.dev(&args);
    assert_eq!(run.code, 2, "{}", run.stderr);
    let command = "`dev deploy -f 'else where/dev.yaml'`";
    assert!(run.stderr.contains(command), "{}", run.stderr);
    let json = project.dev(&[&args[..], &["-o", "json"]].concat()).stderr;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let hint = json["error"]["hints"][0].as_str().unwrap();
    assert!(hint.contains(command), "{hint}");
}

#[test]
fn a_set_that_no_template_uses_is_wrong_usage() {
    let project = Project::new(&[
        (
            "dev.yaml",
            "app: a\nvars: {size: 1, deep: {colour: red}}\nservices:\n  one: {manifests: one.yaml}\n  two: {manifests: two.yaml, vars: {own: 1}}\n",
        ),
        (
            "one.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: '{{ vars.greeting | default(value=1) }}'}\n",
        ),
        (
            "two.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\ndata: {a: '{{ vars.deep.colour }}'}\n",
        ),
    ]);
    for used in [
        "greeting=hi",
        "vars.greeting=hi",
        "deep.colour=blue",
        "size=2",
        "own=2",
    ] {
        // Also where only one service is rendered: another one uses it.
        for args in [&["render"][..], &["render", "one"]] {
            let run = project.dev(&[args, &["--set", used]].concat());
            assert_eq!(run.code, 0, "{used}: {}", run.stderr);
        }
    }
    for (unused, nearest) in [
        ("greting=hi", "greeting"),
        ("deep.color=blue", "deep.colour"),
    ] {
        for command in ["render", "validate"] {
            let run = project.dev(&[command, "--set", unused]);
            let nearest = format!("did you mean \"{nearest}\"?");
            crate::support::project::told(&run, 2, &["no template uses", &nearest]);
        }
    }
    // A variable of the shell is there for many commands.
    let mut command = project.command();
    let run = crate::support::project::run(command.arg("render").env("DEV_SET", "other=1"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("Warning:"), "{}", run.stderr);
}

#[test]
fn quiet_is_quiet() {
    let project = Project::new(&[
        ("dev.yaml", "app: a\nservices: {x: {manifests: x.yaml}}\n"),
        (
            "x.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
        ),
    ]);
    let run = project.dev(&["validate", "-q"]);
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (0, "", "")
    );
    // What was asked for is data all the same.
    let run = project.dev(&["validate", "-q", "-o", "json"]);
    assert!(run.stdout.contains("\"objects\": 1"), "{}", run.stdout);
    assert!(run.stdout.contains("\"leftOut\""), "{}", run.stdout);
    assert!(project.dev(&["render", "-q"]).stdout.contains("ConfigMap"));
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
    let yaml = project.dev(&["schema", "-o", "yaml"]).stdout;
    assert!(!yaml.starts_with('{'), "{yaml}");
    let text = dev::manifest::snippet::Text::Written(&yaml);
    let yaml = dev::manifest::yaml::documents(text, std::path::Path::new("schema.yaml")).unwrap();
    assert_eq!(yaml[0].value, schema);
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

#[test]
fn manual_pages_are_written_one_for_each_command() {
    let project = Project::new(&[]);
    let run = project.dev(&["man", "--dir", "deep/man1"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    let folder = project.root().join("deep/man1");
    for page in ["dev.1", "dev-up.1", "dev-down.1", "dev-router-install.1"] {
        let text = std::fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}: {text}");
    }
    assert!(
        !folder.join("dev-router-run.1").exists(),
        "a hidden command"
    );
    let run = project.dev(&["man", "--dir", "/proc/none"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("/proc/none"), "{}", run.stderr);
}

/// Runs a shell with a script; `None` (and a line that says so) where it is not installed.
fn in_shell(shell: &str, project: &Project, script: &str) -> Option<String> {
    let file = project.root().join(format!("complete.{shell}"));
    std::fs::write(&file, script).unwrap();
    let mut command = std::process::Command::new(shell);
    let output = match command.arg(&file).current_dir(project.root()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            crate::support::left_out::left_out(&format!("completions of {shell}: not installed"));
            return None;
        }
        Err(error) => panic!("{shell}: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shell}: {said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn completions_work_in_each_shell() {
    let project = Project::new(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = project.dev(&["completions", shell]).stdout;
        project.write(&format!("dev.{shell}"), script);
    }
    if let Some(proposed) = in_shell(
        "bash",
        &project,
        "source ./dev.bash\nCOMP_WORDS=(dev st)\nCOMP_CWORD=1\n_dev dev st dev\nprintf '%s\\n' \"${COMPREPLY[@]}\"\nCOMP_WORDS=(dev up --no-w)\nCOMP_CWORD=2\n_dev dev --no-w up\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n",
    ) {
        assert_eq!(proposed, "status\n--no-wait\n");
    }
    if let Some(proposed) = in_shell(
        "fish",
        &project,
        "source dev.fish\ncomplete -C 'dev stat'\ncomplete -C 'dev up --no-w'\n",
    ) {
        assert!(
            proposed.contains("status\t") && proposed.contains("--no-wait\t"),
            "{proposed}"
        );
    }
    if let Some(proposed) = in_shell(
        "zsh",
        &project,
        "autoload -U compinit; compinit -u -d ./dump\nsource ./dev.zsh\nprint ${_comps[dev]}\n",
    ) {
        assert_eq!(proposed.trim(), "_dev");
    }
    // No example of these two is to be had as a Debian package.
    for shell in ["elvish", "powershell"] {
        let script = std::fs::read_to_string(project.root().join(format!("dev.{shell}"))).unwrap();
        assert!(
            script.contains("status") && script.contains("no-wait"),
            "{script}"
        );
    }
}

#[test]
fn a_wrong_file_or_duration_is_told_with_what_is_right() {
    let project = Project::new(&[("dev.yaml", "app: a\nservices: {x: {manifests: m}}\n")]);
    let run = project.dev(&["render", "-f", "dve.yaml"]);
    crate::support::project::told(
        &run,
        2,
        &["cannot read dve.yaml", "did you mean \"dev.yaml\"?"],
    );
    let run = project.dev(&["render", "-f", "../home"]);
    crate::support::project::told(&run, 2, &["there is no dev.yaml in ../home"]);
    let run = project.dev(&["logs", "--since", "5"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("such as 90s"), "{}", run.stderr);
}

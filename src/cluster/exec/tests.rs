use serde_json::json;

use super::*;

const TARGET: Target<'_> = Target {
    service: "web",
    pod: "web-1",
    container: "app",
};

fn status(value: serde_json::Value) -> Status {
    serde_json::from_value(value).expect("a status")
}

fn end(value: serde_json::Value, program: &str) -> Result<i32> {
    exit_code(&status(value), &TARGET, &[program.to_owned()])
}

#[test]
fn the_exit_code_of_the_command_is_returned() {
    assert_eq!(end(json!({"status": "Success"}), "true"), Ok(0));
    let failed = json!({
        "status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated with non-zero exit code",
        "details": {"causes": [{"reason": "ExitCode", "message": "42"}]},
    });
    assert_eq!(end(failed, "false"), Ok(42));
}

#[test]
fn an_image_without_a_shell_is_told_apart_from_a_missing_program() {
    let said = |program: &str| {
        json!({"status": "Failure", "reason": "InternalError", "code": 500, "message": format!(
            "error executing command in container: OCI runtime exec failed: exec: \"{program}\": executable file not found in $PATH"
        )})
    };
    let error = end(said("sh"), "sh").unwrap_err();
    assert!(error.hints()[0].contains("no shell"), "{error:?}");
    assert!(
        error.hints()[1].contains("kubectl debug -it web-1"),
        "{error:?}"
    );
    let error = end(said("psql"), "psql").unwrap_err();
    assert!(
        error.hints()[0].contains("not in the image of web"),
        "{error:?}"
    );
}

fn set() -> PodSet {
    PodSet {
        service: "web".to_owned(),
        namespace: "shop".to_owned(),
        selector: "dev/service=web".to_owned(),
    }
}

fn pod(name: &str, ready: bool, phase: &str, created: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "creationTimestamp": created},
        "spec": {"containers": [{"name": "app"}, {"name": "proxy"}]},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    }))
    .expect("a pod")
}

#[test]
fn a_ready_pod_is_chosen_before_a_newer_one_that_is_not() {
    let found = [
        pod("old", true, "Running", "2026-01-01T00:00:00Z"),
        pod("new", false, "Running", "2026-01-02T00:00:00Z"),
        pod("done", false, "Succeeded", "2026-01-03T00:00:00Z"),
    ];
    let set = set();
    let (chosen, container) = choose(&set, &found, None).expect("a pod");
    assert_eq!((pods::name(chosen), container), ("old", "app"));
    let (_, container) = choose(&set, &found, Some("proxy")).expect("a pod");
    assert_eq!(container, "proxy");
}

#[test]
fn a_misspelt_container_and_missing_pods_are_told_with_the_names_there_are() {
    let found = [pod("old", true, "Running", "2026-01-01T00:00:00Z")];
    let error = choose(&set(), &found, Some("prox")).unwrap_err();
    assert_eq!(error.hints()[0], "did you mean \"proxy\"?");
    assert!(error.hints()[1].contains("app, proxy"), "{error:?}");
    assert_eq!(
        choose(&set(), &[], None).unwrap_err().reason_code(),
        Some("NoPods")
    );
    let ended = [pod("done", false, "Failed", "2026-01-03T00:00:00Z")];
    let error = choose(&set(), &ended, None).unwrap_err();
    assert!(error.causes()[0].contains("done is Failed"), "{error:?}");
}

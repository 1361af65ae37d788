//! PURE: forms that people try in `dev.yaml` because other programs have them, and the right one.

/// What to write in place of a value of a wrong type. `path` is that of the key (`services.web.needs`), `found` what stands there.
pub fn right_form(path: &str, found: &str) -> Option<String> {
    let keys: Vec<&str> = path.split('.').collect();
    let text = !found.is_empty() && !found.starts_with(['[', '{', '|', '>', '&', '*']);
    match keys.as_slice() {
        ["services"] if found.starts_with('[') || found.starts_with('-') => {
            Some("services have names: services: {web: {manifests: k8s/}}".to_owned())
        }
        _ if !text => None,
        ["services", name] => Some(format!("write {name}: {{manifests: {found}}}")),
        ["services", _, "image"] => Some(format!("write image: {{name: {found}}}")),
        ["services", _, "image", "build"] => Some(format!("write build: {{context: {found}}}")),
        ["services", _, "image", "command"] => {
            Some(format!("write command: {{run: {found}, context: …}}"))
        }
        ["services", _, "image", "layers"] => Some(format!("write layers: {{base: {found}}}")),
        ["services", _, "helm"] => Some(format!("write helm: {{chart: {found}}}")),
        ["services", _, key @ "needs"]
        | ["services", _, "helm", key @ "values"]
        | [
            "services",
            _,
            "image",
            "layers",
            key @ ("entrypoint" | "cmd" | "ports"),
        ]
        | ["profiles", _, key @ ("branches" | "services")] => {
            Some(format!("write {key}: [{found}]"))
        }
        _ => None,
    }
}

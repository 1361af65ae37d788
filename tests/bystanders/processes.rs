//! The processes of pods, where this machine runs the nodes, as it does with the bundled cluster.

use std::process::Command;

use k8s_openapi::api::core::v1::Pod;

/// A process of a pod.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number on this machine.
    pub pid: u32,
    /// Its command line.
    pub line: String,
}

/// The processes of these pods; none where the nodes are other machines.
pub fn of(pods: &[Pod]) -> Vec<Process> {
    let containers: Vec<String> = pods.iter().flat_map(containers).collect();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let pid = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        let Some(pid) = pid else { continue };
        // It may have ended meanwhile.
        let Ok(groups) = std::fs::read_to_string(path.join("cgroup")) else {
            continue;
        };
        let Ok(line) = std::fs::read(path.join("cmdline")) else {
            continue;
        };
        let ours = containers.iter().any(|id| groups.contains(id));
        if ours && !line.is_empty() {
            found.push(Process {
                pid,
                line: String::from_utf8_lossy(&line).replace('\0', " "),
            });
        }
    }
    found
}

/// The IDs of the running containers of a pod.
fn containers(pod: &Pod) -> Vec<String> {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let ids = statuses
        .into_iter()
        .flatten()
        .filter_map(|status| status.container_id.as_deref());
    ids.filter_map(|id| Some(id.split_once("://")?.1.to_owned()))
        .collect()
}

/// Ends them all at once with SIGKILL.
pub fn kill(processes: &[Process]) {
    assert!(!processes.is_empty(), "there is nothing to kill");
    let pids = processes.iter().map(|process| process.pid.to_string());
    let status = Command::new("kill").arg("-KILL").args(pids).status();
    assert!(status.unwrap().success(), "{processes:?}");
}

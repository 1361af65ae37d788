//! `dev logs`.

use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};

use crate::error::{Error, Result};

/// The last lines of a container, read once.
pub(super) async fn last_lines(
    client: &Client,
    namespace: &str,
    pod: &str,
    container: &str,
    previous: bool,
    lines: i64,
) -> Result<Vec<String>, kube::Error> {
    let params = LogParams {
        container: Some(container.to_owned()),
        previous,
        tail_lines: Some(lines),
        ..LogParams::default()
    };
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let text = pods.logs(pod, &params).await?;
    Ok(text.lines().map(str::to_owned).collect())
}

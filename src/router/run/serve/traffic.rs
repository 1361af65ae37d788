//! The traffic of all routers together.

use futures::future::join_all;

use super::{PEER, Status};
use crate::router::run::peers::ask;
use crate::router::traffic::{PodTraffic, Report};

impl Status {
    /// Figures of these environments; none: of all.
    pub(super) async fn traffic(&self, envs: &[String]) -> Report {
        let peers = self.peers();
        let others = peers.iter().map(async |peer| {
            match ask::<PodTraffic>(peer, "/v1/pod/traffic", "", PEER).await {
                Ok((_, said)) => said,
                Err(why) => PodTraffic {
                    pod: peer.pod.clone(),
                    error: Some(why),
                    ..PodTraffic::default()
                },
            }
        });
        let (own, others) = tokio::join!(self.measure.traffic(&self.pod), join_all(others));
        let mut pods = vec![own];
        pods.extend(others);
        pods.sort_by(|one, other| one.pod.cmp(&other.pod));
        Report::of(&pods, envs)
    }
}

//! What kubelets, schedulers and admission say, in versions and runtimes that no recording is at hand of.

use super::*;

#[test]
fn pull_failures_are_told_apart_by_the_message() {
    use PullFailure::{
        InvalidName, NeverPulled, NotFound, Other, RateLimited, Unauthorized, Unreachable,
        WrongPlatform,
    };
    let pull = "ErrImagePull";
    let cases = [
        (
            pull,
            "rpc error: code = NotFound desc = failed to pull and unpack image \"r/x:1\": failed to resolve reference \"r/x:1\": r/x:1: not found",
            NotFound,
        ),
        (
            pull,
            "manifest for redis:99 not found: manifest unknown: manifest unknown",
            NotFound,
        ),
        (
            pull,
            "failed to resolve reference \"r/x:1\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
            Unauthorized,
        ),
        (
            pull,
            "unexpected status from HEAD request to https://r/v2/x/manifests/1: 401 Unauthorized",
            Unauthorized,
        ),
        (
            pull,
            "failed to authorize: failed to fetch anonymous token: unexpected status: 403 Forbidden",
            Unauthorized,
        ),
        (
            pull,
            "failed to do request: Head \"https://r/v2/x/manifests/1\": dial tcp: lookup r: no such host",
            Unreachable,
        ),
        (
            pull,
            "failed to do request: Head \"https://r/v2/\": dial tcp: lookup dev.local: Temporary failure in name resolution",
            Unreachable,
        ),
        (
            pull,
            "Head \"http://localhost:5999/v2/x/y/manifests/1\": dial tcp 127.0.0.1:5999: connect: connection refused",
            Unreachable,
        ),
        (
            pull,
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            Unreachable,
        ),
        (
            pull,
            "http: server gave HTTP response to HTTPS client",
            Unreachable,
        ),
        (
            pull,
            "toomanyrequests: You have reached your unauthenticated pull rate limit.",
            RateLimited,
        ),
        (
            pull,
            "no match for platform in manifest: not found",
            WrongPlatform,
        ),
        (
            "ErrImageNeverPull",
            "Container image \"x\" is not present with pull policy of Never",
            NeverPulled,
        ),
        ("InvalidImageName", "couldn't parse image name", InvalidName),
        ("ImagePullBackOff", "Back-off pulling image \"x\"", Other),
    ];
    for (reason, message, expected) in cases {
        assert_eq!(classify_pull(reason, message), expected, "{message}");
    }
}

#[test]
fn the_scheduler_s_causes_are_read_one_by_one() {
    let resource = |nodes, resource: &str| Obstacle::Resource {
        nodes,
        resource: resource.to_owned(),
    };
    let taint = |nodes, taint: &str| Obstacle::Taint {
        nodes,
        taint: taint.to_owned(),
    };
    let cases = [
        (
            "0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.",
            vec![resource(1, "memory"), resource(2, "cpu")],
        ),
        (
            "0/2 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }, 1 node(s) had untolerated taint {team: a, b}. preemption: not eligible due to preemptionPolicy=Never.",
            vec![
                taint(1, "node.kubernetes.io/disk-pressure"),
                taint(1, "team: a, b"),
            ],
        ),
        (
            "0/1 nodes are available: 1 Too many pods. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
            vec![resource(1, "pods")],
        ),
        (
            "0/4 nodes are available: 3 node(s) didn't match pod anti-affinity rules, 1 node(s) were unschedulable.",
            vec![
                Obstacle::PodAffinity {
                    nodes: 3,
                    rule: "pod anti-affinity rules".to_owned(),
                },
                Obstacle::Cordoned { nodes: 1 },
            ],
        ),
        (
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
            vec![Obstacle::Volume {
                text: "pod has unbound immediate PersistentVolumeClaims".to_owned(),
            }],
        ),
        (
            "0/1 nodes are available: 1 node(s) had volume node affinity conflict.",
            vec![Obstacle::Volume {
                text: "node(s) had volume node affinity conflict".to_owned(),
            }],
        ),
        (
            "no nodes available to schedule pods",
            vec![Obstacle::NoNodes],
        ),
        (
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
            vec![resource(1, "nvidia.com/gpu")],
        ),
        (
            "something new",
            vec![Obstacle::Other {
                text: "something new".to_owned(),
            }],
        ),
        ("", vec![]),
    ];
    for (message, expected) in cases {
        assert_eq!(parse_scheduler_message(message), expected, "{message}");
    }
}

#[test]
fn refusals_are_told_apart_by_who_refuses() {
    let named = |name: &str| name.to_owned();
    let cases = [
        (
            "pods \"x\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1",
            Refusal::Quota(named("small")),
        ),
        (
            "pods \"x\" is forbidden: failed quota: small: must specify limits.cpu for: app",
            Refusal::QuotaWants(named("small")),
        ),
        (
            "pods \"x\" is forbidden: violates PodSecurity \"baseline:v1.30\": host namespaces (hostNetwork=true)",
            Refusal::PodSecurity(named("baseline:v1.30")),
        ),
        (
            "admission webhook \"policy.example.com\" denied the request: no latest tags",
            Refusal::Webhook(named("policy.example.com")),
        ),
        (
            "Internal error occurred: failed calling webhook \"policy.example.com\": failed to call webhook: Post \"https://policy.svc:443/\": no endpoints available for service \"policy\"",
            Refusal::WebhookDown(named("policy.example.com")),
        ),
        (
            "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'no-root' with binding 'all' denied request: runs as root",
            Refusal::Policy(named("no-root")),
        ),
        (
            "pods \"x\" is forbidden: error looking up service account ns/ghost: serviceaccount \"ghost\" not found",
            Refusal::ServiceAccount(named("ghost")),
        ),
        (
            "pods \"x\" is forbidden: no PriorityClass with name high was found",
            Refusal::PriorityClass,
        ),
        (
            "pods \"x\" is forbidden: [maximum cpu usage per Container is 500m, but limit is 1, maximum memory usage per Pod is 1Gi]",
            Refusal::LimitRange,
        ),
        (
            "pods \"x\" is forbidden: unable to create new content in namespace ns because it is being terminated",
            Refusal::Terminating,
        ),
        (
            "Pod \"x\" is invalid: spec.containers[0].image: Required value",
            Refusal::Other,
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(classify_refusal(message), expected, "{message}");
    }
}

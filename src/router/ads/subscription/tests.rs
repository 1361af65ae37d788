//! One type on one stream, message by message.

use std::collections::HashMap;

use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::google::rpc::Status;

use super::*;

/// Resources of these names and versions: `a=1 b=2`.
fn resources(text: &str) -> Resources {
    let pairs = text.split_whitespace().map(|pair| {
        let (name, version) = pair.split_once('=').unwrap();
        let resource = Resource {
            version: version.to_owned(),
            body: Any {
                type_url: String::new(),
                value: pair.as_bytes().to_vec(),
            },
        };
        (name.to_owned(), Arc::new(resource))
    });
    pairs.collect()
}

/// A request: `+a` subscribes, `-a` unsubscribes, `a=1` is an initial version, `!3` accepts nonce 3, `?3` refuses it.
fn request(text: &str) -> DeltaDiscoveryRequest {
    let mut request = DeltaDiscoveryRequest::default();
    for word in text.split_whitespace() {
        let rest = &word[1..];
        match word.as_bytes()[0] {
            b'+' => request.resource_names_subscribe.push(rest.to_owned()),
            b'-' => request.resource_names_unsubscribe.push(rest.to_owned()),
            b'!' => request.response_nonce = rest.to_owned(),
            b'?' => {
                request.response_nonce = rest.to_owned();
                request.error_detail = Some(Status {
                    code: 13,
                    message: "no".to_owned(),
                    details: Vec::new(),
                });
            }
            _ => {
                let (name, version) = word.split_once('=').unwrap();
                request
                    .initial_resource_versions
                    .insert(name.to_owned(), version.to_owned());
            }
        }
    }
    request
}

struct Test {
    subscription: Subscription,
    wanted: Resources,
    may_remove: bool,
    nonce: u64,
}

impl Test {
    fn new(kind: Kind, wanted: &str) -> Self {
        Self {
            subscription: Subscription::new(kind),
            wanted: resources(wanted),
            may_remove: true,
            nonce: 0,
        }
    }

    fn hear(&mut self, text: &str) -> Heard {
        let heard = self.subscription.hear(&request(text));
        if heard.review {
            self.subscription.review(&self.wanted);
        }
        heard
    }

    fn want(&mut self, wanted: &str) {
        self.wanted = resources(wanted);
        self.subscription.review(&self.wanted);
    }

    /// The next response: `2: a=1 -b`; empty: none.
    fn next(&mut self) -> String {
        let response = self.subscription.next(
            |name| self.wanted.get(name),
            |_| self.may_remove,
            &mut self.nonce,
        );
        let Some(response) = response else {
            return String::new();
        };
        assert_eq!(response.type_url, self.subscription.kind.type_url());
        let mut text = format!("{}:", response.nonce);
        for resource in response.resources {
            assert_eq!(
                resource.resource.unwrap().value,
                format!("{}={}", resource.name, resource.version).into_bytes()
            );
            text.push_str(&format!(" {}={}", resource.name, resource.version));
        }
        for name in response.removed_resources {
            text.push_str(&format!(" -{name}"));
        }
        text
    }

    fn has(&self) -> String {
        let pairs = self.subscription.accepted.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, version)| format!("{name}={version}"))
            .collect();
        pairs.join(" ")
    }
}

#[test]
fn before_anything_is_asked_for_nothing_is_sent() {
    let mut test = Test::new(Kind::Clusters, "a=1");
    test.want("a=1");
    assert_eq!(test.next(), "");
    assert!(!test.subscription.is_idle());
}

#[test]
fn a_first_request_without_names_asks_for_all_clusters() {
    for first in ["", "+*"] {
        let mut test = Test::new(Kind::Clusters, "a=1 b=1");
        test.hear(first);
        assert_eq!(test.next(), "1: a=1 b=1");
        assert_eq!(test.next(), "", "one response at a time");
        test.hear("!1");
        assert_eq!(test.next(), "");
        assert!(test.subscription.is_idle());
        assert_eq!(test.has(), "a=1 b=1");
        test.want("a=2 c=1");
        assert_eq!(test.next(), "2: a=2 c=1 -b");
        test.hear("!2");
        assert_eq!(test.has(), "a=2 c=1");
    }
}

#[test]
fn a_first_request_without_names_asks_for_no_routes() {
    let mut test = Test::new(Kind::Routes, "a=1");
    test.hear("");
    test.want("a=1");
    assert_eq!(test.next(), "");
}

#[test]
fn envoy_waits_for_a_first_answer_also_when_there_is_nothing() {
    let mut test = Test::new(Kind::Listeners, "");
    test.hear("+*");
    assert_eq!(test.next(), "1:");
    test.hear("!1");
    assert_eq!(test.next(), "");
    // One that knows something does not.
    let mut test = Test::new(Kind::Listeners, "a=1");
    test.hear("+* a=1");
    assert_eq!(test.next(), "");
    assert!(test.subscription.is_idle());
}

#[test]
fn by_name_only_what_is_asked_for_is_sent() {
    let mut test = Test::new(Kind::Endpoints, "a=1 b=1 c=1");
    test.hear("+a +b");
    test.want("a=1 b=1 c=1");
    assert_eq!(test.next(), "1: a=1 b=1");
    test.hear("!1 +c -a");
    assert_eq!(test.next(), "2: c=1");
    test.hear("!2");
    assert_eq!(test.has(), "b=1 c=1");
    test.want("a=2 b=2 c=1");
    assert_eq!(test.next(), "3: b=2");
}

#[test]
fn what_is_asked_for_and_does_not_exist_is_told_and_sent_when_it_comes() {
    let mut test = Test::new(Kind::Routes, "");
    test.hear("+a");
    assert_eq!(test.next(), "1: -a");
    test.hear("!1");
    assert_eq!(test.next(), "");
    test.want("a=1");
    assert_eq!(test.next(), "2: a=1");
}

#[test]
fn who_asks_again_is_answered_again() {
    let mut test = Test::new(Kind::Endpoints, "a=1");
    test.hear("+a");
    assert_eq!(test.next(), "1: a=1");
    test.hear("!1");
    test.hear("+a");
    assert_eq!(test.has(), "");
    assert_eq!(test.next(), "2: a=1");
    // Also while an answer is under way.
    test.hear("+a");
    assert_eq!(test.next(), "");
    test.hear("!2");
    assert_eq!(test.has(), "", "the acceptance is of what was sent before");
    assert_eq!(test.next(), "3: a=1");
    test.hear("!3");
    assert_eq!(test.has(), "a=1");
}

#[test]
fn after_a_reconnect_only_differences_are_sent() {
    let mut test = Test::new(Kind::Clusters, "a=1 b=2 d=1");
    test.hear("+* a=1 b=1 c=1");
    assert_eq!(test.next(), "1: b=2 d=1 -c");
    test.hear("!1");
    assert_eq!(test.has(), "a=1 b=2 d=1");
    let mut test = Test::new(Kind::Routes, "a=1 b=2 d=1");
    test.hear("+a +b +c +d a=1 b=1 c=1");
    assert_eq!(test.next(), "1: b=2 d=1", "c is told by its listener's end");
}

#[test]
fn removals_wait_until_they_are_allowed() {
    let mut test = Test::new(Kind::Clusters, "a=1");
    test.hear("+* a=1 b=1");
    test.may_remove = false;
    assert_eq!(test.next(), "");
    assert!(test.subscription.is_idle());
    test.may_remove = true;
    assert_eq!(test.next(), "1: -b");
}

#[test]
fn what_comes_while_a_response_is_under_way_is_sent_once_in_its_latest_state() {
    let mut test = Test::new(Kind::Clusters, "a=1");
    test.hear("+*");
    assert_eq!(test.next(), "1: a=1");
    test.want("a=2 b=1");
    test.want("a=3 b=2");
    assert_eq!(test.next(), "");
    test.hear("!1");
    assert_eq!(test.next(), "2: a=3 b=2");
    // Back to what it was: nothing to say.
    test.want("a=4 b=2");
    test.want("a=3 b=2");
    test.hear("!2");
    assert_eq!(test.next(), "");
}

#[test]
fn what_was_wanted_only_while_it_was_under_way_is_taken_back() {
    let mut test = Test::new(Kind::Clusters, "a=1");
    test.hear("+*");
    test.next();
    test.hear("!1");
    test.want("a=2");
    assert_eq!(test.next(), "2: a=2");
    test.want("a=1");
    test.hear("!2");
    assert_eq!(test.next(), "3: a=1");
}

#[test]
fn an_old_nonce_accepts_nothing_but_its_names_count() {
    let mut test = Test::new(Kind::Endpoints, "a=1 b=1");
    test.hear("+a");
    assert_eq!(test.next(), "1: a=1");
    test.hear("!7 +b");
    assert_eq!(test.has(), "");
    assert_eq!(test.next(), "");
    test.hear("!1");
    assert_eq!(test.next(), "2: b=1");
}

#[test]
fn a_refused_resource_is_found_reported_and_not_sent_again() {
    let mut test = Test::new(Kind::Clusters, "a=1 b=1 c=1 d=1");
    test.hear("+*");
    assert_eq!(test.next(), "1: a=1 b=1 c=1 d=1");
    test.hear("?1");
    assert_eq!(test.next(), "2: a=1 b=1");
    test.hear("!2");
    assert_eq!(test.next(), "3: c=1 d=1");
    test.hear("?3");
    assert_eq!(test.next(), "4: c=1");
    let heard = test.hear("?4");
    assert_eq!(heard.closed, ["c"]);
    assert_eq!(test.next(), "5: d=1");
    test.hear("!5");
    assert_eq!(test.next(), "");
    assert!(test.subscription.is_idle());
    assert_eq!(test.has(), "a=1 b=1 d=1");
    let rejections: Vec<_> = test.subscription.rejections().collect();
    assert_eq!(rejections, [("c", "no")]);
    // The same again is not tried, another version is.
    test.want("a=1 b=1 c=1 d=2");
    assert_eq!(test.next(), "6: d=2");
    test.hear("!6");
    test.want("a=1 b=1 c=2 d=2");
    assert_eq!(test.next(), "7: c=2");
    test.hear("!7");
    assert!(!test.subscription.has_rejected());
}

#[test]
fn after_a_refusal_envoy_keeps_what_it_had_and_the_fault_ends_with_the_resource() {
    let mut test = Test::new(Kind::Listeners, "a=1");
    test.hear("+*");
    test.next();
    test.hear("!1");
    test.want("a=2");
    assert_eq!(test.next(), "2: a=2");
    test.hear("?2");
    assert_eq!(test.has(), "a=1");
    assert!(test.subscription.has_rejected());
    // Back to the accepted version: nothing to send, and no fault any more.
    test.want("");
    assert_eq!(test.next(), "3: -a");
    test.hear("!3");
    assert!(!test.subscription.has_rejected());
}

#[test]
fn what_a_refused_response_may_have_left_behind_is_removed() {
    let mut test = Test::new(Kind::Clusters, "a=1 b=1");
    test.hear("+*");
    test.next();
    test.hear("?1");
    test.want("");
    assert_eq!(test.next(), "2: -a");
    test.hear("!2");
    assert_eq!(test.next(), "3: -b");
}

#[test]
fn a_refused_removal_is_not_repeated() {
    let mut test = Test::new(Kind::Clusters, "");
    test.hear("+* a=1");
    assert_eq!(test.next(), "1: -a");
    test.hear("?1");
    assert_eq!(test.next(), "");
    test.want("");
    assert_eq!(test.next(), "");
    test.want("a=2");
    assert_eq!(test.next(), "2: a=2");
}

#[test]
fn a_name_that_is_part_of_everything_is_answered_when_it_is_asked_for_no_more() {
    let mut test = Test::new(Kind::Clusters, "a=1");
    test.hear("+* +a +b");
    assert_eq!(test.next(), "1: a=1 -b");
    test.hear("!1 -a -b");
    assert_eq!(test.next(), "2: a=1 -b");
    test.hear("!2 -*");
    assert_eq!(test.has(), "");
    test.want("a=2");
    assert_eq!(test.next(), "");
}

#[test]
fn names_that_were_never_asked_for_can_be_given_up() {
    let mut test = Test::new(Kind::Endpoints, "a=1");
    test.hear("+a");
    test.next();
    test.hear("!1 -z");
    assert_eq!(test.next(), "");
    assert_eq!(test.has(), "a=1");
}

#[test]
fn many_resources_are_sent_in_several_responses() {
    let wanted: Vec<String> = (0..2500).map(|number| format!("c{number:04}=1")).collect();
    let mut test = Test::new(Kind::Clusters, &wanted.join(" "));
    test.hear("+*");
    let mut sizes = Vec::new();
    for nonce in 1..=3 {
        sizes.push(test.next().split(' ').count() - 1);
        test.hear(&format!("!{nonce}"));
    }
    assert_eq!(sizes, [1000, 1000, 500]);
    assert_eq!(test.next(), "");
    assert_eq!(test.subscription.accepted.len(), 2500);
}

#[test]
fn one_bad_resource_of_many_costs_few_responses() {
    let wanted: Vec<String> = (0..1000).map(|number| format!("c{number:04}=1")).collect();
    let mut test = Test::new(Kind::Clusters, &wanted.join(" "));
    test.hear("+*");
    let mut responses = 0;
    loop {
        let sent = test.next();
        let Some((nonce, names)) = sent.split_once(':') else {
            break;
        };
        responses += 1;
        let answer = if names.contains("c0700") { '?' } else { '!' };
        test.hear(&format!("{answer}{nonce}"));
    }
    assert_eq!(test.subscription.accepted.len(), 999);
    assert_eq!(test.subscription.rejections().count(), 1);
    assert!(responses < 40, "{responses} responses");
}

#[test]
fn changes_of_what_envoy_has_are_told_once() {
    let mut test = Test::new(Kind::Endpoints, "a=1");
    test.hear("+a");
    test.next();
    assert!(test.subscription.take_changes().is_empty());
    test.hear("!1");
    assert_eq!(
        test.subscription.take_changes(),
        [("a".to_owned(), Some("1".to_owned()))]
    );
    test.subscription.forget("a");
    assert_eq!(test.subscription.take_changes(), [("a".to_owned(), None)]);
    assert!(test.subscription.take_changes().is_empty());
    assert_eq!(test.next(), "2: a=1");
}

#[test]
fn the_shorthand_of_these_tests_says_what_it_should() {
    let request = request("+a -b c=1 !4");
    assert_eq!(request.resource_names_subscribe, ["a"]);
    assert_eq!(request.resource_names_unsubscribe, ["b"]);
    assert_eq!(
        request.initial_resource_versions,
        HashMap::from([("c".to_owned(), "1".to_owned())])
    );
    assert_eq!(request.response_nonce, "4");
}

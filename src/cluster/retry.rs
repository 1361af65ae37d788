//! Which requests are sent again, and when: refusals for a while (429, 502–504), errors inside the server, lost connections.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use tower::BoxError;
use tower::retry::Policy;

/// Delays between tries: 0.1 s, doubled up to 2 s, 6 times: 5 s in all.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(2);
const TRIES: u32 = 6;
/// An error inside the server (500) is often no passing one.
const TRIES_AFTER_INTERNAL_ERROR: u32 = 2;
/// The longest that a server's `Retry-After` is followed for.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The policy of one request; what it learns about the server is shared by all.
#[derive(Clone, Debug, Default)]
pub(super) struct RetryPolicy {
    tried: u32,
    /// Whether the server ever answered: before that, a refused connection is told at once.
    reached: Arc<AtomicBool>,
}

/// What a result asks for.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Final,
    Again(Duration),
}

impl RetryPolicy {
    fn delay(&self) -> Duration {
        FIRST_DELAY
            .saturating_mul(2_u32.saturating_pow(self.tried))
            .min(LAST_DELAY)
    }

    fn judge_answer(
        &self,
        repeatable: bool,
        status: StatusCode,
        retry_after: Option<u64>,
    ) -> Verdict {
        let tries = match status {
            // Refused before anything was done.
            StatusCode::TOO_MANY_REQUESTS => TRIES,
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
                if repeatable =>
            {
                TRIES
            }
            StatusCode::INTERNAL_SERVER_ERROR if repeatable => TRIES_AFTER_INTERNAL_ERROR,
            _ => 0,
        };
        if self.tried >= tries {
            return Verdict::Final;
        }
        let asked = retry_after.map_or(Duration::ZERO, Duration::from_secs);
        if asked > LONGEST_WAIT {
            return Verdict::Final;
        }
        Verdict::Again(self.delay().max(asked))
    }

    fn judge_failure(&self, repeatable: bool) -> Verdict {
        if repeatable && self.reached.load(Ordering::Relaxed) && self.tried < TRIES {
            Verdict::Again(self.delay())
        } else {
            Verdict::Final
        }
    }
}

/// Whether sending a request twice does the same as sending it once.
fn is_repeatable(request: &Request<Body>) -> bool {
    let header = |name: http::HeaderName| request.headers().get(name);
    let idempotent = match *request.method() {
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE => true,
        Method::PATCH => header(http::header::CONTENT_TYPE)
            .is_none_or(|content_type| content_type != "application/json-patch+json"),
        _ => false,
    };
    // An upgraded connection may have run a command already.
    idempotent && header(http::header::UPGRADE).is_none()
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for RetryPolicy {
    type Future = Pin<Box<tokio::time::Sleep>>;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let repeatable = is_repeatable(request);
        let verdict = match result {
            Ok(response) => {
                self.reached.store(true, Ordering::Relaxed);
                let retry_after = response
                    .headers()
                    .get(http::header::RETRY_AFTER)
                    .and_then(|value| value.to_str().ok()?.parse().ok());
                self.judge_answer(repeatable, response.status(), retry_after)
            }
            // A credential plug-in that failed: it would only be started again.
            Err(cause) if cause.is::<crate::error::Error>() => Verdict::Final,
            Err(_) => self.judge_failure(repeatable),
        };
        match verdict {
            Verdict::Final => None,
            Verdict::Again(delay) => {
                tracing::debug!(?delay, uri = %request.uri(), "sending again");
                self.tried += 1;
                Some(Box::pin(tokio::time::sleep(delay)))
            }
        }
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let mut again = Request::new(request.body().try_clone()?);
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.version_mut() = request.version();
        *again.headers_mut() = request.headers().clone();
        *again.extensions_mut() = request.extensions().clone();
        Some(again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(tried: u32, reached: bool) -> RetryPolicy {
        RetryPolicy {
            tried,
            reached: Arc::new(AtomicBool::new(reached)),
        }
    }

    fn request(method: Method, content_type: &str) -> Request<Body> {
        Request::builder()
            .method(method)
            .header("content-type", content_type)
            .body(Body::empty())
            .unwrap()
    }

    #[test]
    fn a_busy_server_is_asked_again_for_a_while() {
        let busy = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(
            policy(0, true).judge_answer(false, busy, None),
            Verdict::Again(FIRST_DELAY)
        );
        assert_eq!(
            policy(0, true).judge_answer(false, busy, Some(1)),
            Verdict::Again(Duration::from_secs(1))
        );
        assert_eq!(
            policy(TRIES, true).judge_answer(true, busy, None),
            Verdict::Final
        );
        assert_eq!(
            policy(0, true).judge_answer(true, busy, Some(3600)),
            Verdict::Final
        );
    }

    #[test]
    fn what_may_have_been_done_is_not_done_twice() {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(
            policy(0, true).judge_answer(false, unavailable, None),
            Verdict::Final
        );
        assert!(!is_repeatable(&request(Method::POST, "application/json")));
        assert!(!is_repeatable(&request(
            Method::PATCH,
            "application/json-patch+json"
        )));
        assert!(is_repeatable(&request(
            Method::PATCH,
            "application/apply-patch+yaml"
        )));
        let mut upgrade = request(Method::GET, "");
        upgrade
            .headers_mut()
            .insert("upgrade", "websocket".parse().unwrap());
        assert!(!is_repeatable(&upgrade));
    }

    #[test]
    fn a_cluster_that_never_answered_is_told_at_once_and_one_that_did_is_tried_again() {
        assert_eq!(policy(0, false).judge_failure(true), Verdict::Final);
        assert_eq!(
            policy(0, true).judge_failure(true),
            Verdict::Again(FIRST_DELAY)
        );
        assert_eq!(policy(0, true).judge_failure(false), Verdict::Final);
    }

    #[test]
    fn refusals_and_mistakes_are_final() {
        for status in [200, 201, 400, 401, 403, 404, 409, 410, 422] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                policy(0, true).judge_answer(true, status, None),
                Verdict::Final
            );
        }
    }
}

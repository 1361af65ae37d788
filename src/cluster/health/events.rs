//! Picking the event that says what is wrong now.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

/// When the event was last seen, by the cluster's clock.
pub(super) fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref();
    series
        .and_then(|series| series.last_observed_time.as_ref())
        .map(|time| time.0)
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| {
            let created = event.metadata.creation_timestamp.as_ref();
            created.map(|time| time.0)
        })
}

/// The latest of these events with one of these reasons.
pub(super) fn latest<'a>(events: &[&'a Event], reasons: &[&str]) -> Option<&'a Event> {
    events
        .iter()
        .filter(|event| {
            let reason = event.reason.as_deref().unwrap_or_default();
            reasons.contains(&reason)
        })
        .max_by_key(|event| last_seen(event))
        .copied()
}

/// The event's text, without what client-go puts before one that stands for many.
pub(super) fn text(event: &Event) -> &str {
    let message = event.message.as_deref().unwrap_or_default().trim();
    let many = message.strip_prefix("(combined from similar events): ");
    many.unwrap_or(message)
}

/// When the object's specification was last written, by the cluster's clock in whole seconds: an event before
/// it is about an older specification. Falls back to the creation.
pub(super) fn written_at(meta: &ObjectMeta) -> Option<Timestamp> {
    let written = meta
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter_map(|entry| entry.time.as_ref())
        .map(|time| time.0)
        .max();
    written.or_else(|| meta.creation_timestamp.as_ref().map(|time| time.0))
}

/// Whether the event is about the object's present specification.
pub(super) fn is_current(event: &Event, meta: &ObjectMeta) -> bool {
    match (last_seen(event), written_at(meta)) {
        (Some(seen), Some(written)) => seen >= written,
        _ => true,
    }
}

//! The names of the metrics, and their descriptions.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(super) const ACCEPTED: &str = "ump_server_accepted_total";
pub(super) const IN_HAND: &str = "ump_server_in_hand";
pub(super) const OUTCOMES: &str = "ump_server_outcomes_total";
pub(super) const QUEUE_DEPTH: &str = "ump_server_queue_depth";
pub(super) const WAIT: &str = "ump_server_wait_seconds";
pub(super) const SERVICE: &str = "ump_server_service_seconds";
pub(super) const REQUESTS: &str = "ump_server_requests_total";
pub(super) const RESTARTS: &str = "ump_server_restarts_total";
pub(super) const STALLS: &str = "ump_server_stalls_total";

#[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
pub(super) const SOCKETS: &str = "ump_server_sockets";
#[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
pub(super) const SOCKET_EVENTS: &str = "ump_server_socket_events_total";
#[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
pub(super) const SOCKET_ERRORS: &str = "ump_server_socket_errors_total";
#[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
pub(super) const SOCKET_BYTES: &str = "ump_server_socket_bytes_total";

/// Describes the metrics of sockets.
#[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
pub(super) fn describe_sockets() {
    describe_gauge!(SOCKETS, Unit::Count, "Open sockets");
    describe_counter!(
        SOCKET_EVENTS,
        Unit::Count,
        "Events of sockets that a handler got"
    );
    describe_counter!(SOCKET_ERRORS, Unit::Count, "Failures of sockets");
    describe_counter!(
        SOCKET_BYTES,
        Unit::Bytes,
        "Bytes that were read from sockets, or written to them"
    );
}

pub(super) fn describe() {
    describe_counter!(
        ACCEPTED,
        Unit::Count,
        "Requests that entered the queue of the server"
    );
    describe_counter!(
        OUTCOMES,
        Unit::Count,
        "Requests by outcome, including those that no handler took"
    );
    describe_gauge!(QUEUE_DEPTH, Unit::Count, "Requests in the queue");
    describe_gauge!(IN_HAND, Unit::Count, "Requests that handlers hold");
    describe_histogram!(WAIT, Unit::Seconds, "Time of a request in the queue");
    describe_histogram!(
        SERVICE,
        Unit::Seconds,
        "Time for which the handler holds a request"
    );
    describe_counter!(
        REQUESTS,
        Unit::Count,
        "Requests that a handler has finished"
    );
    describe_counter!(RESTARTS, Unit::Count, "Rebuilt handlers");
    describe_counter!(
        STALLS,
        Unit::Count,
        "Stalls: calls of handlers that did not return control in time"
    );
}

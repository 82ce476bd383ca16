//! What one call may use, and what one record may bring.

use std::time::Duration;

/// Bounds on what becomes a request. Over any of them: invalid message, reason `request-too-large`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Headers of one record, repeats counted.
    pub max_headers: usize,
    /// Bytes of all names and values of one record's headers.
    pub max_header_bytes: usize,
    /// Bytes of the record's value.
    pub max_body: usize,
}

/// Bounds on one call. Over any of them the call ends, and only that call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// From the call's beginning to its end.
    pub deadline: Duration,
    /// How long it may wait for its turn, while calls of other tenants have the worker, on top of its deadline.
    pub patience: Duration,
    /// Time really computed by the guest.
    pub max_cpu: Duration,
    /// Bytes of linear memory, all memories of all components of the call together.
    pub max_memory: usize,
    /// Bytes of the body of a request from one component to the next.
    pub max_request_body: usize,
    /// Bytes of the response's body.
    pub max_response_body: usize,
    /// Headers of the response, repeats counted.
    pub max_headers: usize,
    /// Bytes of all names and values of the response's headers.
    pub max_header_bytes: usize,
}

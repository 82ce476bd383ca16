//! The trace of a call, for the requests that it makes.

use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// What a call was told of its trace. Its own span is the parent there, and so it is of what the call asks others.
#[derive(Clone, Debug, Default)]
pub(super) struct TraceHeaders {
    parent: Option<HeaderValue>,
    state: Vec<HeaderValue>,
    baggage: Vec<HeaderValue>,
}

impl TraceHeaders {
    /// Those of the request that the call is about.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let all = |name: &HeaderName| headers.get_all(name).iter().cloned().collect();
        Self { parent: headers.get(&TRACEPARENT).cloned(), state: all(&TRACESTATE), baggage: all(&BAGGAGE) }
    }

    /// Adds what the guest did not set itself. State belongs to a parent, so it comes only with that.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        if let Some(parent) = &self.parent
            && !headers.contains_key(&TRACEPARENT)
        {
            headers.remove(&TRACESTATE);
            add(headers, &TRACEPARENT, std::slice::from_ref(parent));
            add(headers, &TRACESTATE, &self.state);
        }
        if !headers.contains_key(&BAGGAGE) {
            add(headers, &BAGGAGE, &self.baggage);
        }
    }
}

fn add(headers: &mut HeaderMap, name: &HeaderName, values: &[HeaderValue]) {
    for value in values {
        // A map that is full has more headers than any server takes.
        let _ = headers.try_append(name, value.clone());
    }
}

//! The café's middleware: it lets the handler brew, and adds milk.

use plain_http::{Request, Response};
use serde_json::{Value, json};

plain_http::export!(add_milk);

/// Where a middleware finds the component that it wraps.
const NEXT: &str = "next.callgate.internal";

fn add_milk(request: Request) -> Response {
    let mut response = request.forward(NEXT).expect("the handler answers");
    if response.status == 201 {
        let mut coffee: Value = serde_json::from_slice(&response.body).expect("a coffee is JSON");
        coffee["milk"] = json!("steamed");
        response.body = coffee.to_string().into_bytes();
        // The body has grown, and the length of the old one no longer fits.
        response.headers.retain(|(name, _)| name != "content-length");
    }
    response
}

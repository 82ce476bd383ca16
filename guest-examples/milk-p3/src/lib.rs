//! The café's middleware as a component of WASI 0.3, in the world `wasi:http/middleware`: it exports a handler, and
//! the handler that it imports is the one that it wraps.

use http::{Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use wasip3::exports::http::handler::Guest;
use wasip3::http::types::ErrorCode;
use wasip3::http_compat::{http_from_wasi_response, http_into_wasi_response};

/// The one interface that the crate `wasip3` leaves out.
mod wrapped {
    wit_bindgen::generate!({
        path: "../../wit/p3",
        inline: "
            package cafe:milk;

            world milk {
                import wasi:http/handler@0.3.0;
            }
        ",
        with: {
            "wasi:http/handler@0.3.0": generate,
            "wasi:http/types@0.3.0": wasip3::http::types,
            "wasi:clocks/types@0.3.0": wasip3::clocks::types,
        },
    });

    pub(super) use wasi::http::handler::handle;
}

wasip3::http::service::export!(Milk);

struct Milk;

impl Guest for Milk {
    async fn handle(request: wasip3::http::types::Request) -> Result<wasip3::http::types::Response, ErrorCode> {
        let response = wrapped::handle(request).await?;
        if response.get_status_code() != StatusCode::CREATED.as_u16() {
            return Ok(response);
        }
        let (mut head, body) = http_from_wasi_response(response)?.into_parts();
        let mut coffee: Value = serde_json::from_slice(&body.collect().await?.to_bytes()).expect("a coffee is JSON");
        coffee["milk"] = json!("steamed");
        // The body has grown, and the length of the old one no longer fits.
        head.headers.remove(header::CONTENT_LENGTH);
        http_into_wasi_response(Response::from_parts(head, coffee.to_string()))
    }
}

//! What a handler needs of `wasi:http`: a whole [`Request`], a whole [`Response`], and nothing between.
//!
//! A handler is one function, exported by one line:
//!
//! ```ignore
//! plain_http::export!(greet);
//!
//! fn greet(request: Request) -> Response {
//!     Response::new(200).body(format!("hello from {}", request.path()))
//! }
//! ```
//!
//! There is no async runtime in here: a call has one request to read and one response to write, so it waits for each in
//! turn. Of a small call, a runtime would be a third.

mod body;
mod request;
mod response;

pub use request::Request;
pub use response::Response;

#[doc(hidden)]
pub use wasip2;

/// Exports a function from [`Request`] to [`Response`] as the component's `wasi:http/incoming-handler`.
#[macro_export]
macro_rules! export {
    ($handler:path) => {
        struct Component;

        impl $crate::wasip2::exports::http::incoming_handler::Guest for Component {
            fn handle(
                request: $crate::wasip2::http::types::IncomingRequest,
                response: $crate::wasip2::http::types::ResponseOutparam,
            ) {
                $handler($crate::Request::receive(request)).send(response);
            }
        }

        $crate::wasip2::http::proxy::export!(Component with_types_in $crate::wasip2);
    };
}

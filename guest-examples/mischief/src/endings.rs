//! It ends as one should not.

use plain_http::Response;
use wasip2::http::types::{ErrorCode, ResponseOutparam};

use crate::greed;

pub(crate) fn trap() -> ! {
    std::process::abort()
}

pub(crate) fn panic() -> ! {
    panic!("mischief was asked to panic")
}

pub(crate) fn exit(status: i32) -> ! {
    std::process::exit(status)
}

pub(crate) fn error(out: ResponseOutparam) {
    let error = ErrorCode::InternalError(Some("mischief was asked for an error".to_owned()));
    ResponseOutparam::set(out, Err(error));
}

pub(crate) fn trap_after_response(out: ResponseOutparam) {
    Response::new(200).body("all is well").send(out);
    trap();
}

pub(crate) fn spin_after_response(out: ResponseOutparam) {
    Response::new(200).body("all is well").send(out);
    greed::spin_for_ever();
}

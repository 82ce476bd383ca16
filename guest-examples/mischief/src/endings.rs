//! It ends as one should not.

use std::hint::black_box;

use plain_http::Response;
use wasip2::http::types::{ErrorCode, ResponseOutparam};

use crate::greed;

pub(crate) fn trap() -> ! {
    std::process::abort()
}

pub(crate) fn panic() -> ! {
    panic!("mischief was asked to panic")
}

/// Reads where no guest has memory: at the end of all that could be addressed.
pub(crate) fn out_of_bounds() -> Response {
    let nowhere = std::ptr::without_provenance::<u8>(black_box(usize::MAX - 64));
    // SAFETY: there is none to be had. What becomes of it is the sandbox's matter, which is what this is for.
    let byte = unsafe { nowhere.read_volatile() };
    Response::new(200).body(byte.to_string())
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

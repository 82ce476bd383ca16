//! It ends as one should not.

use wasip3::http::types::Response;
use wasip3::spawn_local;

use crate::greed;
use crate::responses::begin;

pub(crate) fn trap() -> ! {
    std::process::abort()
}

pub(crate) fn panic() -> ! {
    panic!("mischief was asked to panic")
}

pub(crate) fn exit(status: i32) -> ! {
    std::process::exit(status)
}

pub(crate) fn late_response(ms: u64) -> Response {
    let (response, body) = begin(200, &[]);
    spawn_local(async move {
        greed::sleep_for(ms).await;
        body.finish(b"at last".to_vec()).await;
    });
    response
}

pub(crate) fn trap_after_response() -> Response {
    and_then(async { trap() })
}

pub(crate) fn spin_after_response() -> Response {
    and_then(async { greed::spin_for_ever() })
}

pub(crate) fn sleep_after_response(ms: Option<u64>) -> Response {
    and_then(async move {
        match ms {
            Some(ms) => greed::sleep_for(ms).await,
            None => greed::sleep_for_ever().await,
        }
    })
}

/// A whole response, and what is done when the host has all of it.
fn and_then(after: impl Future<Output = ()> + 'static) -> Response {
    let (response, body) = begin(200, &[]);
    spawn_local(async move {
        body.finish(b"all is well".to_vec()).await;
        // By then the host has seen that the body is complete.
        greed::sleep_for(1).await;
        after.await;
    });
    response
}

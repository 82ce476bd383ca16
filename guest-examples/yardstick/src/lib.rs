//! What the host is measured with. It answers with the request's body, unread; at `/wait` it first waits 0 to 5 ms, at
//! random, as a handler does that asks somebody else.

use plain_http::{Request, Response};
use wasip2::clocks::monotonic_clock;
use wasip2::random::random;

plain_http::export!(answer);

const LONGEST_WAIT: u64 = 5_000_000;

fn answer(request: Request) -> Response {
    if request.path() == "/wait" {
        let nanoseconds = random::get_random_u64() % (LONGEST_WAIT + 1);
        monotonic_clock::subscribe_duration(nanoseconds).block();
    }
    Response::new(200).body(request.body)
}

#![doc = include_str!("../README.md")]

mod endings;
mod fetch;
mod greed;
mod mirror;
mod onward;
mod query;
mod reach;
mod responses;
mod wear;

use plain_http::{Request, Response};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

use crate::query::Query;

struct Mischief;

wasip2::http::proxy::export!(Mischief);

impl Guest for Mischief {
    fn handle(head: IncomingRequest, out: ResponseOutparam) {
        let request = Request::receive(head);
        let target = request.path();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query::parse(query);

        let response = match path {
            _ if path == "/echo" || path.starts_with("/echo/") => mirror::echo(&request),
            "/reply-with" => mirror::reply_with(&request),
            "/fail-until" => mirror::fail_until(&request, query.number("attempt").unwrap_or(1)),
            "/log" => mirror::log(&request),

            "/next" => onward::next(&request, &query),
            "/next-at-once" => onward::next_at_once(&request, &query),
            "/next-with" => onward::next_with(&request),
            "/next-then-trap" => onward::next_then_trap(&request, &query),
            "/next-unread" => onward::next_unread(&request, &query),
            "/next-unwaited" => onward::next_unwaited(&request, &query),
            "/next-unfinished" => onward::next_unfinished(&request, &query),
            "/next-after-response" => return onward::next_after_response(&request, &query, out),

            "/count" => wear::count(),
            "/traps-when-used-again" => wear::traps_when_used_again(),
            "/traps-unless-probed" => wear::traps_unless_probed(&request),
            "/spins-when-used-again" => wear::spins_when_used_again(),
            "/silent-when-used-again" => match wear::silent_when_used_again() {
                Some(response) => response,
                None => return,
            },
            "/leak" => wear::leak(query.number("mib").unwrap_or(1)),

            "/env" => reach::env(),
            "/arguments" => reach::arguments(),
            "/stdin" => reach::stdin(),
            "/random" => reach::random(),
            "/clock" => reach::clock(),
            "/filesystem" => reach::filesystem(),
            "/socket" => reach::socket(),
            "/fetch" => fetch::fetch(&request),
            "/outbound" => reach::outbound(query.text("url").unwrap_or_default()),

            "/spin" => greed::spin(query.number("ms")),
            "/sleep" => greed::sleep(query.number("ms")),
            "/allocate" => greed::allocate(query.number("mib")),
            "/recurse" => greed::recurse(),
            "/handles" => greed::handles(query.number("count").unwrap_or(10_000)),
            "/endless-log" => greed::endless_log(),

            "/large-response" => responses::large(query.number("bytes").unwrap_or(1_000_000)),
            "/huge-headers" => {
                responses::huge_headers(query.number("count").unwrap_or(100), query.number("bytes").unwrap_or(1_000))
            }
            "/bad-header" => responses::bad_header(),
            "/wrong-content-length" => return responses::wrong_content_length(out),
            "/unfinished-body" => return responses::unfinished_body(out),
            "/stalled-body" => return responses::stalled_body(out),
            "/endless-body" => return responses::endless_body(out),
            "/empty-writes" => return responses::empty_writes(out),

            "/trap" => endings::trap(),
            "/panic" => endings::panic(),
            "/out-of-bounds" => endings::out_of_bounds(),
            "/exit-0" => endings::exit(0),
            "/exit-1" => endings::exit(1),
            "/no-response" => return,
            "/error" => return endings::error(out),
            "/trap-after-response" => return endings::trap_after_response(out),
            "/spin-after-response" => return endings::spin_after_response(out),

            _ => match path.strip_prefix("/status/").and_then(|status| status.parse().ok()) {
                Some(status) => Response::new(status),
                None => Response::new(404),
            },
        };
        response.send(out);
    }
}

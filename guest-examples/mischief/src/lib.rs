#![doc = include_str!("../README.md")]

mod endings;
mod fetch;
mod greed;
mod mirror;
mod query;
mod reach;
mod responses;

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
            "/count" => mirror::count(),
            "/log" => mirror::log(&request),

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

#![doc = include_str!("../README.md")]

mod endings;
mod greed;
mod mirror;
mod query;
mod reach;
mod responses;

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Request, Response};

use crate::query::Query;
use crate::responses::status;

struct Mischief;

wasip3::http::service::export!(Mischief);

impl Guest for Mischief {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query::parse(query);
        let number = |name, otherwise| query.number(name).unwrap_or(otherwise);

        Ok(match path {
            _ if path == "/echo" || path.starts_with("/echo/") => mirror::echo(request).await,
            "/pass-on" => mirror::pass_on(request),
            "/count" => mirror::count(),
            "/log" => mirror::log(request).await,

            "/env" => reach::env(),
            "/arguments" => reach::arguments(),
            "/stdin" => reach::stdin().await,
            "/random" => reach::random(),
            "/clock" => reach::clock(),
            "/filesystem" => reach::filesystem().await,
            "/socket" => reach::socket().await,
            "/outbound" => reach::outbound(query.text("url").unwrap_or_default()).await,

            "/spin" => greed::spin(query.number("ms")),
            "/sleep" => greed::sleep(query.number("ms")).await,
            "/wait" => greed::wait().await,
            "/yield" => greed::yield_for_ever().await,
            "/allocate" => greed::allocate(query.number("mib")),
            "/recurse" => greed::recurse(),
            "/handles" => greed::handles(number("count", 10_000)),
            "/timers" => greed::timers(number("count", 10_000)).await,
            "/endless-log" => greed::endless_log().await,

            "/large-response" => responses::large(number("bytes", 1_000_000)),
            "/huge-headers" => responses::huge_headers(number("count", 100), number("bytes", 1_000)),
            "/trailers" => responses::trailers(),
            "/wrong-content-length" => responses::wrong_content_length(),
            "/given-up-body" => responses::given_up_body(),
            "/unfinished-body" => responses::unfinished_body(),
            "/stalled-body" => responses::stalled_body(),
            "/endless-body" => responses::endless_body(),
            "/empty-writes" => responses::empty_writes(),

            "/trap" => endings::trap(),
            "/panic" => endings::panic(),
            "/exit-0" => endings::exit(0),
            "/exit-1" => endings::exit(1),
            "/error" => return Err(ErrorCode::InternalError(Some("mischief was asked for an error".to_owned()))),
            "/late-response" => endings::late_response(number("ms", 50)),
            "/trap-after-response" => endings::trap_after_response(),
            "/spin-after-response" => endings::spin_after_response(),
            "/sleep-after-response" => endings::sleep_after_response(query.number("ms")),

            _ => status(404),
        })
    }
}

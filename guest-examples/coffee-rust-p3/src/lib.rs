//! The café's handler as a component of WASI 0.3: an async function on the types of the crate `http`.

use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wasip3::exports::http::handler::Guest;
use wasip3::http::types::ErrorCode;
use wasip3::http_compat::{IncomingRequestBody, http_from_wasi_request, http_into_wasi_response};

wasip3::http::service::export!(Cafe);

struct Cafe;

impl Guest for Cafe {
    async fn handle(request: wasip3::http::types::Request) -> Result<wasip3::http::types::Response, ErrorCode> {
        let response = brew(http_from_wasi_request(request)?).await?;
        http_into_wasi_response(response)
    }
}

#[derive(Deserialize)]
struct Order {
    drink: String,
    #[serde(default = "medium")]
    size: String,
    machine: Option<String>,
}

#[derive(Serialize)]
struct Coffee {
    drink: String,
    size: String,
    extras: Vec<String>,
    ordered_at: String,
    order_bytes: usize,
}

async fn brew(request: Request<IncomingRequestBody>) -> Result<Response<String>, ErrorCode> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        let mut refusal = problem(StatusCode::METHOD_NOT_ALLOWED, "coffee is ordered with POST");
        refusal.headers_mut().insert("allow", HeaderValue::from_static("POST"));
        return Ok(refusal);
    }
    let body = body.collect().await?.to_bytes();
    let Ok(order) = serde_json::from_slice::<Order>(&body) else {
        return Ok(problem(StatusCode::BAD_REQUEST, "an order is JSON and names a drink"));
    };
    if order.machine.as_deref() == Some("broken") {
        return Ok(problem(StatusCode::SERVICE_UNAVAILABLE, "the coffee machine is broken"));
    }
    let coffee = Coffee {
        drink: order.drink,
        size: order.size,
        extras: values(head.headers.get_all("extra")),
        ordered_at: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        order_bytes: body.len(),
    };
    Ok(answer(StatusCode::CREATED, "application/json", &coffee))
}

fn problem(status: StatusCode, title: &str) -> Response<String> {
    answer(status, "application/problem+json", &json!({ "status": status.as_u16(), "title": title }))
}

fn answer(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Response<String> {
    let mut response = Response::new(serde_json::to_string(body).expect("the body can be written as JSON"));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    response
}

fn medium() -> String {
    "medium".to_owned()
}

// A header that comes twice may come as one, with commas: HTTP lets whoever stands in between join them.
fn values<'a>(lines: impl IntoIterator<Item = &'a HeaderValue>) -> Vec<String> {
    let lines = lines.into_iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.flat_map(|line| line.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

//! The café's handler: it takes an order and brews the coffee.

use plain_http::{Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

plain_http::export!(brew);

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

fn brew(request: Request) -> Response {
    if request.method() != "POST" {
        return problem(405, "coffee is ordered with POST").header("allow", "POST");
    }
    let Ok(order) = serde_json::from_slice::<Order>(&request.body) else {
        return problem(400, "an order is JSON and names a drink");
    };
    if order.machine.as_deref() == Some("broken") {
        return problem(503, "the coffee machine is broken");
    }
    Response::json(
        201,
        &Coffee {
            drink: order.drink,
            size: order.size,
            extras: values(request.header("extra")),
            ordered_at: request.path(),
            order_bytes: request.body.len(),
        },
    )
}

fn problem(status: u16, title: &str) -> Response {
    Response::new(status)
        .header("content-type", "application/problem+json")
        .body(json!({ "status": status, "title": title }).to_string())
}

fn medium() -> String {
    "medium".to_owned()
}

// A header that comes twice may come as one, with commas: HTTP lets whoever stands in between join them.
fn values(lines: Vec<Vec<u8>>) -> Vec<String> {
    let lines = lines.iter().map(|line| String::from_utf8_lossy(line));
    lines.flat_map(|line| line.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

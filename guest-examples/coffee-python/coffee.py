"""The café's handler: it takes an order and brews the coffee."""

import json

import plain_http
from plain_http import Request, Response


class IncomingHandler(plain_http.Handler):
    def respond(self, request: Request) -> Response:
        if request.method != "POST":
            return problem(405, "coffee is ordered with POST", ("allow", "POST"))
        order = parse(request.body)
        if not isinstance(order, dict) or not isinstance(order.get("drink"), str):
            return problem(400, "an order is JSON and names a drink")
        if order.get("machine") == "broken":
            return problem(503, "the coffee machine is broken")
        coffee = {
            "drink": order["drink"],
            "size": order.get("size", "medium"),
            "extras": values(request, "extra"),
            "ordered_at": request.path,
            "order_bytes": len(request.body),
        }
        return Response(201, [("content-type", "application/json")], json.dumps(coffee).encode())


def values(request: Request, wanted: str) -> list[str]:
    """A header that comes twice may come as one, with commas: HTTP lets whoever stands in between join them."""
    lines = [value.decode(errors="replace") for name, value in request.headers if name == wanted]
    return [value for line in lines for value in line.split(", ")]


def parse(body: bytes) -> object:
    try:
        return json.loads(body.decode())
    except ValueError:
        return None


def problem(status: int, title: str, *headers: tuple[str, str]) -> Response:
    body = json.dumps({"status": status, "title": title})
    return Response(status, [("content-type", "application/problem+json"), *headers], body.encode())

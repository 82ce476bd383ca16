"""The records: orders as the café's handler takes them."""

import json

SIZE = 1024
"""Bytes of an order where nothing else is said."""


def coffee_order(size=SIZE):
    notes = "one sugar, no lid, and a glass of water please; "
    order = {"drink": "flat white", "size": "large", "notes": ""}
    room = size - len(json.dumps(order))
    order["notes"] = (notes * (room // len(notes) + 1))[:room]
    return json.dumps(order).encode()

"""How to speak to the guest `mischief`: what it saw of a request, and what it should answer."""

import base64
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """A request as the handler saw it: the answer of `/echo`."""

    method: str
    path: str
    authority: str
    headers: list[tuple[str, bytes]]
    body: bytes

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def header(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times: {self.headers}"
        return values[0] if values else None

    @property
    def names(self):
        return list(dict.fromkeys(name for name, _ in self.headers))


def seen(reply):
    echo = json.loads(reply.value)
    return Seen(echo["method"], echo["path"], echo["authority"],
                [(name, base64.b64decode(value)) for name, value in echo["headers"]], base64.b64decode(echo["body"]))


def answer(status=200, headers=(), body=b""):
    """The value of a record for `/reply-with`: exactly this is to be the response."""
    return json.dumps({
        "status": status,
        "headers": [[name, base64.b64encode(value).decode()] for name, value in headers],
        "body": base64.b64encode(body).decode(),
    }).encode()

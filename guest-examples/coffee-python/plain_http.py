"""What a handler needs of wasi:http: a whole request, a whole response, and nothing between."""

from abc import abstractmethod
from dataclasses import dataclass

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import streams, types

READ_CHUNK = 64 * 1024
WRITE_CHUNK = 4096  # the most that one blocking write may carry


@dataclass
class Request:
    method: str
    path: str
    headers: list[tuple[str, bytes]]
    body: bytes


@dataclass
class Response:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Handler(exports.IncomingHandler):
    """A component exports a class of this kind under the name `IncomingHandler`."""

    @abstractmethod
    def respond(self, request: Request) -> Response:
        raise NotImplementedError

    def handle(self, request: types.IncomingRequest, response_out: types.ResponseOutparam) -> None:
        send(self.respond(receive(request)), response_out)


def receive(request: types.IncomingRequest) -> Request:
    return Request(
        method=method_name(request.method()),
        path=request.path_with_query() or "",
        headers=request.headers().entries(),
        body=read(request),
    )


def method_name(method: types.Method) -> str:
    if isinstance(method, types.Method_Other):
        return method.value
    return type(method).__name__.removeprefix("Method_").upper()


def read(request: types.IncomingRequest) -> bytes:
    chunks = []
    with request.consume() as body, body.stream() as stream:
        while True:
            try:
                chunks.append(stream.blocking_read(READ_CHUNK))
            except Err as end:
                if isinstance(end.value, streams.StreamError_Closed):
                    return b"".join(chunks)
                raise


def send(response: Response, out: types.ResponseOutparam) -> None:
    headers = types.Fields.from_list([(name, value.encode()) for name, value in response.headers])
    outgoing = types.OutgoingResponse(headers)
    outgoing.set_status_code(response.status)
    body = outgoing.body()
    types.ResponseOutparam.set(out, Ok(outgoing))
    with body.write() as stream:
        for start in range(0, len(response.body), WRITE_CHUNK):
            stream.blocking_write_and_flush(response.body[start : start + WRITE_CHUNK])
    types.OutgoingBody.finish(body, None)

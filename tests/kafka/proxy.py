"""A TCP proxy in front of a broker that knows where requests begin: it can hold back one sort of them, cut their
connections, or damage what answers hold. Hosts go through it, and tests do not.
"""

import socket
import struct
import threading
from contextlib import suppress

END_TXN = 26
"""The request that commits or aborts a transaction."""


class Proxy:
    """Passes everything on until it is told otherwise."""

    def __init__(self, api=END_TXN):
        self.api = api
        self.met = 0
        """How many requests of that sort have come."""
        self._cut = None
        self._spoilt = None
        self._may_go = threading.Event()
        self._may_go.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._broker = None
        self._open = []

    def start(self, broker):
        """From now on connections are taken, for the broker at this port."""
        self._broker = broker
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def lose_requests(self):
        """The sort of requests does not arrive: the connection is cut instead."""
        self._cut = "requests"

    def lose_answers(self):
        """Requests of the sort arrive, and before their answer the connection is cut."""
        self._cut = "answers"

    def hold(self):
        """Requests of the sort, and what comes behind them on their connections, wait."""
        self._may_go.clear()

    def spoil(self, what):
        """Where an answer holds these bytes, they arrive damaged."""
        self._spoilt = what

    def let_go(self):
        """What was held arrives, and all that comes from now on, as it was sent."""
        self._cut = self._spoilt = None
        self._may_go.set()

    def close(self):
        self.let_go()
        self._listener.close()
        for connection in self._open:
            cut(connection)

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = socket.create_connection(("127.0.0.1", self._broker))
                except OSError:
                    cut(client)
                    continue
                self._open += [client, broker]
                for pump in (self._requests, self._answers):
                    threading.Thread(target=pump, args=(client, broker), daemon=True).start()

    def _requests(self, client, broker):
        with suppress(OSError, EOFError):
            while True:
                frame = read_frame(client)
                if struct.unpack(">h", frame[4:6])[0] == self.api:
                    self.met += 1
                    self._may_go.wait()
                    if self._cut == "requests":
                        break
                    if self._cut == "answers":
                        # So that it arrives, and nothing comes back: the answer may be there before this thread goes on.
                        cut(client)
                        broker.sendall(frame)
                        return
                broker.sendall(frame)
        cut(client)
        cut(broker)

    def _answers(self, client, broker):
        with suppress(OSError, EOFError):
            while True:
                frame = read_frame(broker)
                if spoilt := self._spoilt:
                    frame = frame.replace(spoilt, bytes([spoilt[0] ^ 1]) + spoilt[1:])
                client.sendall(frame)
        cut(client)
        cut(broker)


def read_frame(connection):
    head = read(connection, 4)
    return head + read(connection, struct.unpack(">i", head)[0])


def read(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def cut(connection):
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()

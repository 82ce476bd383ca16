"""The host, in all its ways."""

import uuid
from contextlib import ExitStack, contextmanager

from . import Serving

ORDER = {"operation": "POST /tables/{table}/orders", "path": {"table": "key"}}


class Callgate:
    """`route`: keys of the route in its manifest; what is left out has its default.

    `hosts`: so many processes of one group, ready before anything is measured where `ready`. `workers`: 0 for one a core.
    """

    def __init__(self, bench, component="coffee-rust", delivery="at-least-once", workers=0, hosts=1, ready=False,
                 middleware=(), tenant=None, **route):
        self.bench, self.component, self.delivery, self.workers = bench, component, delivery, workers
        self.hosts, self.ready, self.middleware, self.tenant = hosts, ready, middleware, tenant or {}
        self.route = {**ORDER, **route}

    @contextmanager
    def serving(self, topic, partitions):
        group = f"bench-{uuid.uuid4().hex[:8]}"
        host = self.bench.host(self.tenant, kafka={"group_id": group, "delivery": self.delivery},
                               limits={"workers": self.workers})
        host.handler("coffee", component=self.component, partitions=partitions, topic=topic,
                     middleware=self.middleware, **self.route)
        # What is not in the cache yet may take long, and is no part of any figure.
        host.compile()
        with ExitStack() as stack:
            stack.callback(host.discard)
            all_ = [host, *(host.twin() for _ in range(self.hosts - 1))]
            for one in all_:
                one.start(ready=self.ready)
            try:
                yield Serving([one.process for one in all_], f"{group}.{host.tenant}",
                              self.delivery == "exactly-once")
            except AssertionError as error:
                raise AssertionError(f"{error}:\n{host.log()[-3000:]}") from error
            for one in all_:
                one.stop()

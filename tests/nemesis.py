"""What goes wrong in a soak run: hosts and brokers that are killed, stopped and started again, members that come and go."""

import random
import signal
import time
from collections import Counter

WEIGHTS = {
    "kill_hosts": 8,
    "stop_hosts": 2,
    "drain_hosts": 2,
    "storm": 3,
    "kill_broker": 3,
    "drain_broker": 2,
    "pause_broker": 1,
    "kill_broker_and_hosts": 2,
}
"""Each fault, and how often it comes among the others."""


class Nemesis:
    """Meets both sides at once, each at a host of its own. Times are drawn from `chance`."""

    def __init__(self, sides, cluster, chance: random.Random):
        self.sides = sides
        self.cluster = cluster
        self.chance = chance
        self.session = max(side.session for side in sides)
        self.counts = Counter()

    def strike(self, fault):
        """Does it, and undoes it as far as it can be undone."""
        getattr(self, fault)()
        self.counts["faults"] += 1

    # Hosts

    def kill_hosts(self, at_work=True):
        victims = [(side, self._a_host(side)) for side in self.sides]
        for side, host in victims:
            if at_work:
                side.await_work()
            self._pause(0, 0.5)
            side.ledger.checker.fault()
            host.kill()
            self.counts["kills of hosts"] += 1
        self._pause(0, 1)
        for _, host in victims:
            host.start(ready=False)

    def stop_hosts(self):
        """For longer than the group waits: they are thrown out, and do not know."""
        victims = [(side, self._a_host(side)) for side in self.sides]
        for side, host in victims:
            side.await_work()
            side.ledger.checker.fault()
            host.process.send_signal(signal.SIGSTOP)
            self.counts["hosts stopped past their session"] += 1
        self._pause(self.session + 1, self.session + 3)
        for side, host in victims:
            side.ledger.checker.fault()
            host.process.send_signal(signal.SIGCONT)

    def drain_hosts(self):
        """In order. No fault to the checker: nothing may come again."""
        for side in self.sides:
            host = self._a_host(side)
            side.await_work()
            side.end(host)
            self._pause(0, 1)
            host.start(ready=False)
            self.counts["hosts restarted in order"] += 1

    def storm(self):
        """Others join and leave, again and again, in order or not."""
        for _ in range(self.chance.randint(2, 4)):
            for side in self.sides:
                side.guest.start(ready=False)
            self._pause(1, 3)
            for side in self.sides:
                if self.chance.random() < 0.5:
                    side.ledger.checker.fault()
                    side.guest.kill()
                    self.counts["kills of hosts"] += 1
                else:
                    side.end(side.guest)
                self.counts["members that came and went"] += 1

    # Brokers

    def kill_broker(self):
        self._bounce(self.cluster.kill)

    def drain_broker(self):
        self._bounce(self.cluster.end)

    def pause_broker(self):
        """It is slow, and then so slow that others take it for dead."""
        node = self._a_broker()
        self._fault()
        for _ in range(self.chance.randint(2, 5)):
            self.cluster.pause(node)
            self._pause(0.1, 2)
            self.cluster.resume(node)
            self._pause(0, 0.5)
        self.counts["brokers that stood still for a while"] += 1
        self._fault()

    def kill_broker_and_hosts(self):
        """Hosts die and come back while a broker is away."""
        self._bounce(self.cluster.kill, lambda: self.kill_hosts(at_work=False))

    def _bounce(self, end, meanwhile=lambda: None):
        node = self._a_broker()
        for side in self.sides:
            side.await_work()
        self._fault()
        end(node)
        meanwhile()
        self._pause(0, 3)
        self.cluster.restart(node)
        self.counts["brokers restarted"] += 1
        self._fault()

    # Whom, and when

    def _fault(self):
        """Of a broker: it may have both sides' hosts thrown out, as it goes and as it comes."""
        for side in self.sides:
            side.ledger.checker.fault()

    def _a_host(self, side):
        return self.chance.choice(side.hosts)

    def _a_broker(self):
        return self.chance.choice(self.cluster.nodes)

    def _pause(self, least, most):
        time.sleep(self.chance.uniform(least, most))

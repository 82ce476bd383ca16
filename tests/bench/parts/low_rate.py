"""How long a record waits where few come: what batching costs whoever is alone."""

from bench.contenders.callgate import Callgate
from bench.contenders.native import NativeEcho
from bench.paced import pacing

TITLE = "500 records a second"

RATE = 500
NATIVE = "native echo"
AT_LEAST_ONCE = "callgate, at-least-once"
EXACTLY_ONCE = "callgate, exactly-once"


def rows(bench):
    contenders = {NATIVE: NativeEcho(bench), AT_LEAST_ONCE: Callgate(bench, ready=True),
                  EXACTLY_ONCE: Callgate(bench, ready=True, delivery="exactly-once")}
    return {name: pacing(bench, contender, RATE, linger=0) for name, contender in contenders.items()}

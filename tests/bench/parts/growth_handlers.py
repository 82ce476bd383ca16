"""How cost grows with the handlers of one tenant, each with a component and a topic of its own."""

from bench.fleet import Fleet

TITLE = "Handlers: the same number of records to more of them"


def rows(bench):
    return {f"{count:,}": Fleet(bench, handlers=count, tenants=1).once for count in bench.scale.handlers}

"""How cost grows with the tenants of one host, each with one handler and clients of its own."""

from bench.fleet import Fleet

TITLE = "Tenants: the same number of records to more of them, one handler each"


def rows(bench):
    return {f"{count:,}": Fleet(bench, handlers=count, tenants=count).once for count in bench.scale.tenants}

"""One broker for the whole run; a host for each subject, with a tenant, topics and groups of its own."""

import os
from pathlib import Path

import pytest
from host import CALLGATE, Host
from kafka.broker import BrokerError, Cluster
from kafka.client import Client
from kafka.proxy import Proxy

OWN_BROKER = os.environ.get("CALLGATE_TEST_BOOTSTRAP")


def start(tmp_path_factory, name, **options):
    try:
        return Cluster(tmp_path_factory.mktemp(name), **options).start(watch=os.getpid())
    except BrokerError as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """The broker that all tests share, as a client sees it."""
    if OWN_BROKER:
        yield Client(OWN_BROKER)
        return
    cluster = start(tmp_path_factory, "kafka")
    yield Client(cluster.bootstrap)
    cluster.wipe()


@pytest.fixture(scope="session")
def with_faults():
    """The host with planted faults; `CALLGATE_PLANTED_FAULT` says which."""
    executable = Path(CALLGATE).with_name("callgate-with-faults")
    assert executable.exists(), "build it: cargo build -p callgate --features planted-faults --bin callgate-with-faults"
    return str(executable)


@pytest.fixture(scope="module")
def a_broker(tmp_path_factory):
    """Makes brokers that a subject may kill, pause and lock up as it likes."""
    if OWN_BROKER:
        pytest.skip("this needs a broker that the test may kill, pause or lock: unset CALLGATE_TEST_BOOTSTRAP")
    clusters = []

    def make(**options):
        clusters.append(start(tmp_path_factory, "broker", **options))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.wipe()


@pytest.fixture
def proxy():
    """Stands between a broker and a host, and loses or spoils what it is told to."""
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def new_host(request, tmp_path_factory, kafka):
    """Makes hosts for a subject. Its name is in the names of their topics, so that a broker's log can be read."""
    subject = request.module.__name__.removeprefix("test_").replace("_", "-")
    hosts = []

    def make(client=kafka, **sections):
        hosts.append(Host(tmp_path_factory.mktemp("host"), client, subject, sections))
        return hosts[-1]

    yield make
    for host in hosts:
        host.discard()
        host.kafka.close_logs()

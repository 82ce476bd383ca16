"""Tenants' secrets: handlers see them, and nothing that the host writes shows them."""

import base64
import json

import pytest
from host import callgate
from mischief import answer

FROM_FILE = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
FROM_ENVIRONMENT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WRITTEN = "rk_live_51HG2b5kJ8yQ7vF3mN0pXw"
SECRETS = (FROM_FILE, FROM_ENVIRONMENT, WRITTEN)

ENV = {"STRIPE": "${secret:STRIPE}", "AUTHORIZATION": "Bearer ${secret:HOOK}", "PAIR": "${secret:STRIPE}:${secret:PLAIN}",
       "ESCAPED": "$${secret:STRIPE}", "LOG_LEVEL": "info"}
SEEN = {"STRIPE": FROM_FILE, "AUTHORIZATION": f"Bearer {FROM_ENVIRONMENT}", "PAIR": f"{FROM_FILE}:{WRITTEN}",
        "ESCAPED": "${secret:STRIPE}", "LOG_LEVEL": "info"}


@pytest.fixture
def host(new_host):
    host = new_host(tenant={"secrets": {"STRIPE": "${file:stripe}", "HOOK": "${env:ACME_HOOK}", "PLAIN": WRITTEN}})
    # As editors and `kubectl create secret` write it: with a line break at the end.
    (host.folder / "stripe").write_text(FROM_FILE + "\n")
    host.environment["ACME_HOOK"] = FROM_ENVIRONMENT
    host.handler("env", "POST /env", env=ENV)
    host.handler("trap", "POST /trap", env=ENV, retry={"attempts": 2, "backoff": "1ms"})
    host.handler("reply", "POST /reply-with", env=ENV)
    return host


def assert_hidden(*outputs):
    for output in outputs:
        for secret in SECRETS:
            for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("=")[4:-4], secret.encode().hex()):
                assert form not in output


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_handler_sees_them_and_no_output_shows_them(host, log_format):
    host.environment |= {"CALLGATE_LOG": "trace", "CALLGATE_LOG_FORMAT": log_format}
    host.start()
    assert json.loads(host.ask("env").value) == SEEN
    trapped, reply = host.ask_and_keep("trap")
    letter = host.dead_letter(trapped)
    unanswered = host.send("reply", answer(500))
    failed = host.dead_letter(unanswered)
    for record in (reply, letter, failed):
        assert_hidden(str(record), repr(record.value), repr(record.headers))
    assert_hidden(host.get("/metrics")[1], host.get("/readyz")[1])
    assert host.stop() == 0
    assert "TRACE" in host.log(), "the log is at its finest level"
    assert_hidden(host.log())


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("faulty", [False, True])
def test_check_does_not_show_them(host, log_format, faulty, monkeypatch):
    monkeypatch.setenv("ACME_HOOK", FROM_ENVIRONMENT)
    monkeypatch.setenv("CALLGATE_LOG", "trace")
    if faulty:
        host.handler("more", env={"A": "${secret:STRIPE}${secret:NONE}", "B=": "${secret:STRIPE}"},
                     reply_to="${secret:STRIPE}")
    for more in ([], ["--online"]):
        done = callgate("check", "--config", str(host.config), "--format", log_format, *more)
        assert done.returncode == (2 if faulty else 0), done.stdout
        assert ("has no secret" in done.stdout) == faulty
        assert_hidden(done.stdout, done.stderr)


def test_a_faulty_operators_file_does_not_show_them(host, monkeypatch):
    monkeypatch.setenv("ACME_HOOK", FROM_ENVIRONMENT)
    host.config.write_text(host.config.read_text() + "\n[tenants.other]\n"
                           'max_cpu = "${env:ACME_HOOK}"\nsecrets = { "A B" = "${env:ACME_HOOK}", C = "${file:nothing}" }\n')
    for command in ("check", "run"):
        done = callgate(command, "--config", str(host.config))
        assert done.returncode == 2
        assert_hidden(done.stdout, done.stderr)

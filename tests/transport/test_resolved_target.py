"""Refuse names that resolve to a forbidden address, now or later."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transport.scripted_server import Serve
from tests.transport.sending import ALWAYS_ASKS, DnsAnswers, new_sender, send, wait_until
from webhooks_app.config import ROOT
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.name_lookup import LookupResult
from webhooks_app.transport.resolved_target import (
    MOST_CACHED_TARGETS,
    ResolvedTarget,
    ResolvedTargets,
    Target,
    target_of,
)
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.sender_limits import ConnectionLimits, ResolverLimits, SenderLimits
from webhooks_app.transport.target_policy import TargetPolicy


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.2"],
        ["127.0.0.1", "127.0.0.2"],
        ["127.0.0.2", "127.0.0.1"],
        ["::1", "127.0.0.2"],
        ["127.0.0.1", "fe80::1%lo"],
        ["127.0.0.1", "169.254.169.254"],
    ],
)
def test_one_forbidden_address_refuses_the_whole_name(
    sender: Sender, serve: Serve, dns_answers: DnsAnswers, addresses: list[str]
) -> None:
    good = serve()
    bad = serve(ip="127.0.0.2", port=good.port)
    dns_answers["hooks.test"] = [addresses]
    outcome = send(sender, good.url_for("hooks.test"))
    assert outcome.kind == "blocked"
    assert outcome.detail.startswith(f"hooks.test resolves to {', '.join(addresses)}. ")
    time.sleep(0.02)
    assert (good.accepted, bad.accepted) == (0, 0)


def test_a_name_that_turns_to_a_forbidden_address_is_blocked(serve: Serve, dns_answers: DnsAnswers) -> None:
    good = serve()
    bad = serve(ip="127.0.0.2", port=good.port)
    dns_answers["hooks.test"] = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"]]
    sender = new_sender(limits=SenderLimits(resolver=ALWAYS_ASKS))
    assert send(sender, good.url_for("hooks.test")).is_success
    assert send(sender, good.url_for("hooks.test")).kind == "blocked"  # although a connection is open
    assert send(sender, good.url_for("hooks.test")).is_success
    sender.close()
    assert (good.accepted, bad.accepted, len(good.requests)) == (2, 0, 2)


@pytest.fixture
def asking_sender() -> Iterator[Sender]:
    made = new_sender(limits=SenderLimits(resolver=ALWAYS_ASKS))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("answers", "counts"),
    [
        ([["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1"]], (1, 0)),
        ([["127.0.0.1"], ["::1"], ["::1"]], (1, 1)),
        ([["127.0.0.1", "::1"], ["127.0.0.1"], ["127.0.0.1"]], (1, 1)),
        ([["127.0.0.1"], ["127.0.0.1", "::1"], ["::1", "127.0.0.1"]], (1, 0)),
        ([["127.0.0.1"], ["127.0.0.1", "::1"], ["::1"]], (1, 1)),
        ([["127.0.0.1"], ["::1"], ["127.0.0.1"]], (2, 1)),
    ],
    ids=["stays", "moves", "loses one", "gains one", "gains one, then loses the first", "moves and returns"],
)
def test_a_kept_connection_serves_only_what_the_present_answer_holds(
    asking_sender: Sender,
    serve: Serve,
    dns_answers: DnsAnswers,
    answers: list[list[str]],
    counts: tuple[int, int],
) -> None:
    former = serve()
    later = serve(ip="::1", port=former.port)
    dns_answers["hooks.test"] = answers
    for path in ("", "/of/another/endpoint", ""):
        assert send(asking_sender, former.url_for("hooks.test") + path).is_success
    assert (former.accepted, later.accepted) == counts
    assert {request.split(b"\r\n")[1] for request in former.requests + later.requests} == {
        f"Host: hooks.test:{former.port}".encode()
    }


def test_a_connection_does_not_hide_that_its_name_no_longer_resolves(
    asking_sender: Sender, serve: Serve, monkeypatch: pytest.MonkeyPatch, dns_answers: DnsAnswers
) -> None:
    server = serve()
    dns_answers["hooks.test"] = [["127.0.0.1"]]
    assert send(asking_sender, server.url_for("hooks.test")).is_success

    def is_gone(*_args: object, **_options: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", is_gone)
    outcome = send(asking_sender, server.url_for("hooks.test"))
    assert (outcome.kind, len(server.requests)) == ("dns", 1)


def test_connections_have_a_greatest_age(serve: Serve, dns_answers: DnsAnswers) -> None:
    server = serve()
    dns_answers["hooks.test"] = [["127.0.0.1"]]
    limits = SenderLimits(resolver=ALWAYS_ASKS, connections=ConnectionLimits(longest_seconds=0.0))
    sender = new_sender(limits=limits)
    assert all(send(sender, server.url_for("hooks.test")).is_success for _ in range(3))
    assert server.accepted == 3
    assert send(sender, server.url).is_success
    wait_until(lambda: send(sender, server.url).is_success and server.accepted > 4)
    sender.close()


def test_a_message_about_a_connection_names_the_host_of_the_url(
    sender: Sender, dns_answers: DnsAnswers
) -> None:
    dns_answers["hooks.test"] = [["127.0.0.1"]]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        outcome = send(sender, f"http://hooks.test:{unused.getsockname()[1]}/")
    assert outcome.kind == "connect"
    assert re.search(r"\(Failed to connect to hooks\.test:\d+ after", outcome.detail)


def test_a_fresh_answer_is_not_asked_for_again(serve: Serve, dns_answers: DnsAnswers) -> None:
    server = serve()
    sender = new_sender(limits=SenderLimits(resolver=ResolverLimits(fresh_seconds=600.0)))
    dns_answers["hooks.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    assert send(sender, server.url_for("hooks.test")).is_success
    assert send(sender, server.url_for("hooks.test")).is_success
    sender.close()
    assert (server.accepted, len(server.requests)) == (1, 2)


def test_permission_is_per_name_even_where_addresses_are_shared(
    sender: Sender, serve: Serve, dns_answers: DnsAnswers
) -> None:
    server = serve()
    dns_answers["good.test"], dns_answers["bad.test"] = [["127.0.0.1"]], [["127.0.0.1", "127.0.0.2"]]
    assert send(sender, server.url_for("good.test")).is_success
    assert send(sender, server.url_for("bad.test")).kind == "blocked"
    assert send(sender, server.url).is_success
    assert server.accepted == 2  # a connection is another host's, even at the same address


def test_the_next_address_is_tried_when_one_does_not_connect(
    sender: Sender, serve: Serve, dns_answers: DnsAnswers
) -> None:
    server = serve()  # not on ::1
    dns_answers["hooks.test"] = [["::1", "127.0.0.1"]]
    outcome = send(sender, server.url_for("hooks.test"))
    assert (outcome.kind, outcome.remote_address) == ("success", "127.0.0.1")


def test_the_longest_name_still_fits_the_detail(sender: Sender, dns_answers: DnsAnswers) -> None:
    name = ".".join(["a" * 61] * 4)
    dns_answers[name] = [["2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222:3333:4444:5555:6667"]]
    outcome = send(sender, f"http://{name}/")
    assert (outcome.kind, len(outcome.detail)) == ("blocked", 300)


def test_a_real_name_server_that_mixes_rebinds_and_swallows(tmp_path: Path) -> None:
    """Run where the system allows a network and mounts of its own; the other tests do not need them."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:2\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    mounts = " && ".join(f"mount --bind {tmp_path}/{name} /etc/{name}" for name in os.listdir(tmp_path))
    answers = {
        "good.test": [["127.0.0.1"]],
        "mixed.test": [["127.0.0.1", "127.0.0.2"]],
        "turning.test": [["127.0.0.1"], ["127.0.0.2"]],
    }
    order = ["good.test", "mixed.test", "turning.test", "turning.test", "silent.test"]
    module = "tests.transport.dns_server"
    script = f'{mounts} && ip link set lo up && echo ready && exec {sys.executable} -m {module} "$0"'
    if not shutil.which("unshare"):
        pytest.skip("unshare is missing")
    command = ["unshare", "-rmn", "sh", "-c", script, json.dumps([answers, order])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    if not done.stdout.startswith("ready"):
        pytest.skip(f"no namespaces here: {done.stderr.strip()[:200]}")
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads(done.stdout.removeprefix("ready\n"))
    kinds = [each["kind"] for each in summary["results"]]
    assert kinds == ["success", "blocked", "success", "blocked", "timeout"]
    assert "127.0.0.2 is a loopback address" in summary["results"][1]["detail"]
    # The system's resolver would have waited a minute.
    assert 1.95 < summary["results"][4]["seconds"] < 50
    assert (summary["good"], summary["bad"]) == (2, 0)
    assert summary["closing_seconds"] < 50


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hooks.test/", Target("hooks.test", 443, True, False)),
        ("http://hooks.test/a?b", Target("hooks.test", 80, False, False)),
        ("https://hooks.test:8443/", Target("hooks.test", 8443, True, False)),
        ("http://1.1.1.1:8080/", Target("1.1.1.1", 8080, False, True)),
        ("https://[2606:4700::1111]/", Target("2606:4700::1111", 443, True, True)),
    ],
)
def test_a_url_leads_to_its_host_and_port(url: str, target: Target) -> None:
    assert target_of(url) == target


TARGET = target_of("https://hooks.test/")


def judged(judge: ResolvedTargets, *addresses: str, arrived_at: float = 0.0) -> ResolvedTarget:
    return judge.get(LookupResult("hooks.test", addresses, arrived_at=arrived_at), TARGET)


def test_libcurl_is_told_all_addresses_under_a_name_of_their_own() -> None:
    resolved = judged(ResolvedTargets(TargetPolicy(), 60), "1.1.1.1", "2606:4700::1111")
    assert resolved.curl_resolve == "+0.hooks.test:443:1.1.1.1,[2606:4700::1111]"
    assert resolved.curl_connect_to == "hooks.test:443:0.hooks.test:443"
    assert resolved.refusal is None


@pytest.mark.parametrize(
    ("is_platform_fault", "kind"), [(False, OutcomeClass.DNS), (True, OutcomeClass.PLATFORM)]
)
def test_a_name_without_an_address_is_refused_as_whose_failure_that_is(
    is_platform_fault: bool, kind: OutcomeClass
) -> None:
    result = LookupResult("hooks.test", problem="It does not exist.", is_platform_fault=is_platform_fault)
    assert ResolvedTargets(TargetPolicy(), 60).get(result, TARGET).refusal == (kind, "It does not exist.")


@pytest.mark.parametrize(("seconds", "is_kept"), [(59.9, True), (60.0, False), (60.1, False)])
def test_a_name_for_connections_stands_for_so_long(seconds: float, is_kept: bool) -> None:
    judge = ResolvedTargets(TargetPolicy(), 60)
    first = judged(judge, "1.1.1.1", arrived_at=1000.0)
    again = judged(judge, "1.1.1.1", arrived_at=1000.0 + seconds)
    assert (again.connection_name == first.connection_name) is is_kept
    assert again.named_at == (1000.0 if is_kept else 1000.0 + seconds)


def test_after_a_refusal_connections_have_a_new_name() -> None:
    judge = ResolvedTargets(TargetPolicy(), 60)
    for refused in (
        LookupResult("hooks.test", ("10.0.0.1",), arrived_at=1.0),
        LookupResult("hooks.test", problem="It does not exist.", arrived_at=2.0),
    ):
        assert judge.get(refused, TARGET).refusal is not None
    assert judged(judge, "1.1.1.1", arrived_at=3.0).connection_name == "0.hooks.test"


def test_so_many_targets_are_remembered_and_then_all_forgotten() -> None:
    judge, result = ResolvedTargets(TargetPolicy(), 60), LookupResult("hooks.test", ("1.1.1.1",))
    targets = [Target(f"{number}.test", 443, True, False) for number in range(MOST_CACHED_TARGETS + 2)]
    first, *_ = [judge.get(result, target) for target in targets[:-1]]
    assert judge.get(result, targets[0]) is first
    judge.get(result, targets[-1])
    assert judge.get(result, targets[0]) is not first

"""The snippets of the Verify tab, run as the page shows them on deliveries that the platform sent."""

import html
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import PASSWORD, TESTER, Workspace, make_settings
from tests.patience import patient_app
from tests.receivers import Receiver
from tests.snippets import frameworks, projects, runtimes
from tests.snippets.cases import Case, Platform
from tests.snippets.frameworks import SERVERS, Server
from tests.snippets.runtimes import RUNTIMES, TOOLS
from tests.waiting import wait_for
from tests.web.conftest import Page
from webhooks_app import tasks
from webhooks_app.accounts import api_tokens, members, users, workspaces
from webhooks_app.db.models import Role
from webhooks_app.extensions import services
from webhooks_app.web import snippets

EMAIL = "admin@example.com"


@pytest.fixture(scope="module")
def platform(
    sqlite_template: Path, redis_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """One for all snippets: it has nothing to do with the kind of database."""
    folder = tmp_path_factory.mktemp("platform")
    shutil.copy(sqlite_template, folder / "test.db")
    settings = make_settings(f"sqlite:///{folder / 'test.db'}", redis_database(), folder)
    app = patient_app(settings)
    with app.app_context(), Receiver() as receiver:
        engine = tasks.build_engine(services())
        workspace_id = workspaces.create(services().write, "Acme", actor=TESTER)
        user_id = users.add(services().write, email=EMAIL, name="Ada", password=PASSWORD)
        members.add(services().write, workspace_id, user_id, Role.ADMIN, actor=TESTER)
        token = api_tokens.create(services().write, workspace_id, "test", actor=TESTER)
        workspace = Workspace(app, workspace_id, token, EMAIL)
        yield Platform(workspace, workspace.endpoint(receiver.url), receiver, engine)
        engine.close()


@pytest.fixture(scope="module")
def shown(platform: Platform) -> dict[str, str]:
    """The code of every snippet, out of the page's HTML, by the name of its template."""
    page = Page(platform.workspace.app, f"/w/{platform.workspace.id}/alerts/webhooks/")
    page.log_in(EMAIL)
    found: dict[str, str] = {}
    for language in snippets.LANGUAGES.values():
        for framework in language.frameworks:
            query = f"language={language.key}&framework={framework.key}"
            text = page.get(f"endpoints/{platform.endpoint_id}/verify?{query}").text
            codes = re.findall(r'<pre id="snippet-\d+"[^>]*>(.*?)</pre>', text, re.DOTALL)
            names = [_template(snippet) for snippet in framework.snippets]
            found |= dict(zip(names, map(html.unescape, codes), strict=True))
    return found


def _template(snippet: snippets.Snippet) -> str:
    return snippet.file.removesuffix(".txt")


ALL = {
    _template(snippet): snippet
    for language in snippets.LANGUAGES.values()
    for framework in language.frameworks
    for snippet in framework.snippets
}


def expect_version(said: tuple[str, ...], tool: str, found: tuple[int, ...], *, pinned: bool) -> None:
    """What a lock file has is said whole. What Debian brings may be newer than what is said.

    It is compared only where all tests must run: elsewhere someone may well have an older one.
    """
    versions = dict(each.rsplit(" ", 1) for each in said)
    on_page = projects.version_in(versions[tool])
    if pinned:
        assert on_page == found
    elif os.environ.get("REQUIRE_ALL_TESTS"):
        assert on_page <= found, f"web/snippets.py says {tool} {versions[tool]}"


@dataclass(frozen=True)
class Judged:
    """What one snippet said to every case."""

    name: str
    verdicts: list[tuple[Case, str]]

    @property
    def is_library(self) -> bool:
        return self.name.endswith("_library")

    def expect(self, group: str, *expected: str) -> None:
        found = {case.title: verdict for case, verdict in self.verdicts if case.group == group}
        wrong = {title: verdict for title, verdict in found.items() if verdict not in expected}
        assert found
        assert wrong == {}

    def expect_refusal(self, group: str) -> None:
        """With the error that the snippet names: any other is a crash to its caller."""
        self.expect(group, f"refused {RUNTIMES[self.name].refusal}")

    def expect_no_acceptance(self, group: str) -> None:
        assert "accepted" not in {verdict for case, verdict in self.verdicts if case.group == group}


@pytest.fixture(scope="module", params=RUNTIMES)
def judged(request: pytest.FixtureRequest, platform: Platform, shown: dict[str, str]) -> Judged:
    with projects.cache(request.param):
        program = runtimes.build(request.param, shown[request.param])
        cases = platform.cases()
        return Judged(
            request.param, list(zip(cases, program.judge([case.line for case in cases]), strict=True))
        )


def test_the_page_says_tested_of_what_is_run_here_and_of_nothing_else() -> None:
    run = set(RUNTIMES) | {server.template for server in SERVERS}

    assert {name for name, snippet in ALL.items() if snippet.tested} == run


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_page_says_with_which_version_code_without_a_framework_ran(name: str) -> None:
    runtime = RUNTIMES[name]
    projects.require(runtime.needs)
    assert ALL[name].tested
    for each in ALL[name].tested:
        tool = each.rsplit(" ", 1)[0]
        found = runtimes.version(tool, runtime)
        expect_version(ALL[name].tested, tool, found, pinned=tool not in TOOLS)


def _served() -> Iterator[object]:
    for server in SERVERS:
        # Where nothing is in the cache yet, they compile for the longest.
        marks = [pytest.mark.long] if server.project in {"java", "rust"} else []
        yield pytest.param(server, id=f"{server.framework}-{server.template}", marks=marks)


@pytest.fixture(scope="module", params=_served())
def served(request: pytest.FixtureRequest, shown: dict[str, str]) -> tuple[Server, Path]:
    server: Server = request.param
    with projects.cache(f"servers_{server.project}"):
        return server, frameworks.build(server.project, shown)


def test_each_framework_accepts_what_is_genuine_and_refuses_the_rest(
    served: tuple[Server, Path], platform: Platform, tmp_path: Path
) -> None:
    server, folder = served
    with frameworks.running(server, folder, platform.secret, tmp_path / "log") as running:
        cases = platform.requests()  # only now: some are nearly too old as it is
        statuses = [(case, running.status(case)) for case in cases]

    wrong = {
        f"{case.group}: {case.title}": status for case, status in statuses if not _is_right(case, status)
    }
    assert wrong == {}, running.log.read_text()[-5000:]
    groups = {case.group for case in cases}
    assert {"genuine", "rotated", "tampered", "old", "future", "missing header", "wrong secret"} <= groups


def _is_right(case: Case, status: int) -> bool:
    """2xx for what is genuine. For the rest 4xx: with 5xx a stranger could fill the log with crashes."""
    return status // 100 == (2 if case.group in {"genuine", "rotated"} else 4)


def test_the_page_says_with_which_version_of_the_framework_it_ran(served: tuple[Server, Path]) -> None:
    server, folder = served
    said = ALL[server.template].tested
    expect_version(said, server.framework, frameworks.version(server, folder), pinned=server.pinned)


def test_express_says_so_where_something_parsed_the_body_before(
    platform: Platform, shown: dict[str, str], tmp_path: Path
) -> None:
    with projects.cache("servers_node"):
        folder = frameworks.build("node", shown)
    [express, *_] = [server for server in SERVERS if server.template == "typescript_express"]
    run = ["express-after-json" if part == "express" else part for part in express.run]
    late = replace(express, run=tuple(run))
    with frameworks.running(late, folder, platform.secret, tmp_path / "log") as running:
        assert running.status(platform.requests()[0]) == 500
        wait_for(lambda: "before express.json()" in running.log.read_text())


def test_the_python_code_passes_mypy_too(shown: dict[str, str], tmp_path: Path) -> None:
    """As TypeScript's passes its compiler, which every server of it needs."""
    names = ("python", "python_flask")
    for name in names:
        (tmp_path / f"{name}.py").write_text(shown[name] + "\n")
    strict = (sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(projects.CACHE / "mypy"))
    with projects.cache("mypy"):
        done = projects.call((*strict, *(f"{name}.py" for name in names)), tmp_path, projects.BUILD_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_for_asp_net_the_verification_that_mono_runs(shown: dict[str, str]) -> None:
    [_, verification] = shown["csharp"].split("public static class")

    assert verification in shown["csharp_aspnet"]


def test_what_the_platform_sends_is_accepted(judged: Judged) -> None:
    judged.expect("genuine", "accepted")


def test_the_old_and_the_new_secret_are_accepted_while_both_sign(judged: Judged) -> None:
    judged.expect("rotated", "accepted")


@pytest.mark.parametrize("group", ["wrong secret", "tampered", "old", "future", "missing header"])
def test_what_is_not_genuine_is_refused(judged: Judged, group: str) -> None:
    judged.expect_refusal(group)


@pytest.mark.parametrize("group", ["garbage timestamp", "garbage signature"])
def test_garbage_is_refused_like_the_rest(judged: Judged, group: str) -> None:
    if judged.is_library:  # each has errors of its own for some of it
        judged.expect_no_acceptance(group)
    else:
        judged.expect_refusal(group)


def test_our_own_code_is_strict_where_some_libraries_are_not(judged: Judged) -> None:
    if not judged.is_library:
        judged.expect_refusal("nearly right")
        judged.expect_no_acceptance("unset secret")


def test_the_shell_accepts_nothing_where_openssl_fails(platform: Platform, shown: dict[str, str]) -> None:
    with projects.cache("shell"):
        program = runtimes.build("shell", shown["shell"])
        failing = ("bash", "-c", "openssl() { return 127; }; . ./harness.sh")
        program = replace(program, runtime=replace(program.runtime, run=failing))

        verdicts = program.judge([case.line for case in platform.cases()])

    assert set(verdicts) == {"refused 1"}

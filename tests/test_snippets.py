"""The snippets of the Verify tab, run as the page shows them on deliveries that the platform sent."""

import html
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import PASSWORD, TESTER, Workspace, make_settings
from tests.receivers import Receiver
from tests.snippets import runtimes
from tests.snippets.cases import Case, Platform
from tests.snippets.runtimes import RUNTIMES
from tests.web.conftest import Page
from webhooks_app import tasks
from webhooks_app.accounts import api_tokens, members, users, workspaces
from webhooks_app.app import create_app
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
    app = create_app(settings)
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
        text = page.get(f"endpoints/{platform.endpoint_id}/verify?language={language.key}").text
        codes = re.findall(r'<pre id="snippet-\d+"[^>]*>(.*?)</pre>', text, re.DOTALL)
        names = [snippet.file.removesuffix(".txt") for snippet in language.snippets]
        found |= dict(zip(names, map(html.unescape, codes), strict=True))
    return found


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
    with runtimes.cache(request.param):
        program = runtimes.build(request.param, shown[request.param])
        cases = platform.cases()
        return Judged(
            request.param, list(zip(cases, program.judge([case.line for case in cases]), strict=True))
        )


def test_the_page_says_tested_of_what_is_run_here_and_of_nothing_else() -> None:
    every = [snippet for language in snippets.LANGUAGES.values() for snippet in language.snippets]

    assert {snippet.file.removesuffix(".txt") for snippet in every if snippet.tested} == set(RUNTIMES)


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
    with runtimes.cache("shell"):
        program = runtimes.build("shell", shown["shell"])
        failing = ("bash", "-c", "openssl() { return 127; }; . ./harness.sh")
        program = replace(program, runtime=replace(program.runtime, run=failing))

        verdicts = program.judge([case.line for case in platform.cases()])

    assert set(verdicts) == {"refused 1"}

"""The Verify tab: secrets and snippets."""

import html
import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from standardwebhooks import Webhook

from tests.conftest import TESTER, Workspace
from tests.receivers import Receiver
from tests.web.conftest import Page
from tests.web.endpoints import EXAMPLE, URL, audited_actions, error_at, load
from webhooks_app.core import signing
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AuditEntry, Delivery
from webhooks_app.endpoints import signing_secrets
from webhooks_app.extensions import db, services
from webhooks_app.web import snippets
from webhooks_app.web.verify_page import codes
from webhooks_app.worker.engine import DeliveryEngine


def secrets_of(app: Flask, database: WriteDatabase, endpoint_id: str) -> list[str]:
    return signing_secrets.reveal(database, services(app).cipher, load(endpoint_id), actor=TESTER)


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("secret/reveal", {}),
    ("secret/rotate", {"overlap": "24h"}),
    ("secret/sec_x/revoke", {}),
    ("test", {"event_type": "batch-lifecycle", "data": EXAMPLE}),
]


@pytest.mark.parametrize(("url", "data"), WRITES)
@pytest.mark.parametrize(
    ("who", "status"), [("viewer_page", 403), ("stranger_page", 404), ("anonymous_page", 302)]
)
def test_only_admins_of_the_workspace_write(
    request: pytest.FixtureRequest, endpoint_id: str, url: str, data: dict[str, Any], who: str, status: int
) -> None:
    page: Page = request.getfixturevalue(who)
    before = len(audited_actions())

    response = page.post(f"endpoints/{endpoint_id}/{url}", data)

    assert response.status_code == status
    assert "whsec_" not in response.text
    assert len(audited_actions()) == before
    assert db.session.scalars(select(Delivery)).all() == []


@pytest.mark.parametrize(("url", "data"), WRITES)
def test_nothing_happens_without_a_csrf_token_or_an_endpoint(
    admin_page: Page, endpoint_id: str, url: str, data: dict[str, Any]
) -> None:
    before = len(audited_actions())

    assert admin_page.post(f"endpoints/{endpoint_id}/{url}", data, csrf=False).status_code == 400
    assert admin_page.post(f"endpoints/ep_nobody/{url}", data).status_code == 404
    assert len(audited_actions()) == before


def test_the_secret_is_hidden_until_it_is_revealed(
    app: Flask, admin_page: Page, viewer_page: Page, endpoint_id: str, database: WriteDatabase
) -> None:
    [secret] = secrets_of(app, database, endpoint_id)

    for page in (admin_page, viewer_page):
        text = page.get(f"endpoints/{endpoint_id}/verify").text
        assert secret not in html.unescape(text)
        assert "webhook-signature" in text
    assert "Reveal" not in text  # the viewer's


@pytest.mark.parametrize("fragment", [False, True])
def test_a_reveal_is_audited_and_never_stored(
    app: Flask, admin_page: Page, endpoint_id: str, database: WriteDatabase, fragment: bool
) -> None:
    [secret] = secrets_of(app, database, endpoint_id)
    before = audited_actions().count("secret.reveal")

    response = admin_page.post(f"endpoints/{endpoint_id}/secret/reveal", fragment=fragment)

    assert response.status_code == 200
    assert secret in html.unescape(response.text)
    assert response.headers["Cache-Control"] == "no-store"
    assert ("<html" in response.text) is not fragment
    assert audited_actions().count("secret.reveal") == before + 1
    entry = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry is not None
    assert (entry.action, entry.actor, entry.target) == ("secret.reveal", "acme@example.com", endpoint_id)
    assert secret not in entry.details


def test_no_get_reveals(admin_page: Page, endpoint_id: str) -> None:
    assert admin_page.get(f"endpoints/{endpoint_id}/secret/reveal").status_code == 405


def test_a_secret_that_cannot_be_decrypted_is_said_so(
    admin_page: Page, workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    other = workspace.endpoint(URL, name="Other")
    [mine], [foreign] = load(endpoint_id).secrets, load(other).secrets
    with database.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE signing_secrets SET ciphertext = '{foreign.ciphertext}' WHERE id = '{mine.id}'"
        )

    response = admin_page.post(f"endpoints/{endpoint_id}/secret/reveal")

    assert response.status_code == 303
    assert "cannot be decrypted" in admin_page.get(response.location).text


@pytest.mark.parametrize(("overlap", "in_force"), [("now", 1), ("1h", 2), ("24h", 2), ("7d", 2)])
def test_rotating_brings_a_new_secret_and_keeps_the_old_for_the_overlap(
    app: Flask, admin_page: Page, endpoint_id: str, database: WriteDatabase, overlap: str, in_force: int
) -> None:
    [old] = secrets_of(app, database, endpoint_id)

    response = admin_page.post(f"endpoints/{endpoint_id}/secret/rotate", {"overlap": overlap})

    assert response.status_code == 303
    new, *rest = secrets_of(app, database, endpoint_id)
    assert new != old
    assert rest == [old][: in_force - 1]
    assert "secret.rotate" in audited_actions()
    assert ("Two secrets sign" in admin_page.get(response.location).text) is (in_force == 2)


@pytest.mark.parametrize("overlap", ["", "2h", "-1"])
def test_an_overlap_that_is_not_offered_is_refused(admin_page: Page, endpoint_id: str, overlap: str) -> None:
    response = admin_page.post(f"endpoints/{endpoint_id}/secret/rotate", {"overlap": overlap})

    assert response.status_code == 422
    assert "Choose" in error_at(response.text, "overlap")
    assert "secret.rotate" not in audited_actions()


def test_the_previous_secret_can_be_revoked_early_and_the_current_one_cannot(
    app: Flask, admin_page: Page, endpoint_id: str, database: WriteDatabase
) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/secret/rotate", {"overlap": "7d"})
    current, _ = secrets_of(app, database, endpoint_id)
    ids = {secret.expires_at is None: secret.id for secret in load(endpoint_id).secrets}
    url = f"endpoints/{endpoint_id}/secret/{{}}/revoke"

    assert admin_page.post(url.format(ids[True])).status_code == 404
    assert admin_page.post(url.format(ids[False])).status_code == 303

    assert secrets_of(app, database, endpoint_id) == [current]
    assert audited_actions().count("secret.revoke") == 1
    again = admin_page.post(url.format(ids[False]))
    assert "stopped signing already" in admin_page.get(again.location).text
    assert audited_actions().count("secret.revoke") == 1


def test_a_secret_of_another_endpoint_is_not_revoked(
    admin_page: Page, workspace: Workspace, endpoint_id: str
) -> None:
    other = workspace.endpoint(URL, name="Other")
    admin_page.post(f"endpoints/{other}/secret/rotate", {"overlap": "7d"})
    [foreign] = [secret.id for secret in load(other).secrets if secret.expires_at]

    assert admin_page.post(f"endpoints/{endpoint_id}/secret/{foreign}/revoke").status_code == 404
    assert "secret.revoke" not in audited_actions()


def test_a_worker_that_runs_already_signs_with_the_secrets_of_the_moment(
    app: Flask,
    admin_page: Page,
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)

    def signatures() -> int:
        workspace.send()
        engine.run(seconds=60)
        request = receiver.received[-1]
        Webhook(secrets_of(app, database, endpoint_id)[0]).verify(request.body, request.headers)
        return len(request.headers["webhook-signature"].split())

    assert signatures() == 1
    admin_page.post(f"endpoints/{endpoint_id}/secret/rotate", {"overlap": "7d"})
    assert signatures() == 2
    [old] = [secret.id for secret in load(endpoint_id).secrets if secret.expires_at]
    admin_page.post(f"endpoints/{endpoint_id}/secret/{old}/revoke")
    assert signatures() == 1
    admin_page.post(f"endpoints/{endpoint_id}/secret/rotate", {"overlap": "now"})
    assert signatures() == 1


FRAMEWORKS = [
    (language, framework) for language in snippets.LANGUAGES.values() for framework in language.frameworks
]


def test_there_is_code_for_what_people_use() -> None:
    labels = {
        language.label: [each.label for each in language.frameworks if each.key != snippets.ANY]
        for language in snippets.LANGUAGES.values()
    }
    fetch = "Fetch (Next.js, Hono, Bun)"
    assert labels == {
        "Python": ["Flask", "FastAPI", "Django"],
        "JavaScript": ["Express", fetch],
        "TypeScript": ["Express", fetch],
        "Go": ["net/http"],
        "Ruby": ["Rails"],
        "PHP": ["Laravel"],
        "Java": ["Spring Boot"],
        "C#": ["ASP.NET Core"],
        "Rust": ["axum"],
        "Shell": [],
    }


def test_each_framework_has_its_snippets_and_says_with_what_the_tests_run_them(
    admin_page: Page, endpoint_id: str
) -> None:
    for language, framework in FRAMEWORKS:
        query = f"language={language.key}&framework={framework.key}"
        text = admin_page.fragment(f"endpoints/{endpoint_id}/verify?{query}").text
        titles = re.findall(r'<h3 class="label">(.*?)</h3>', text)
        assert titles == [snippet.title for snippet in framework.snippets]
        assert text.count('id="snippet-') == len(framework.snippets)
        chosen = re.findall(r'aria-current="true">(.*?)</a>', text)
        assert chosen == [language.label] + [framework.label] * (len(language.frameworks) > 1)
        tags = re.findall(r'<span class="tag" title="[^"]+">(.*?)</span>', text)
        assert tags == [
            f"tested with {', '.join(each.tested)}" if each.tested else "not run by our tests"
            for each in framework.snippets
        ]
        assert ("WEBHOOK_SECRET</code>" in text) is (framework.key != snippets.ANY)


def test_every_language_has_code_without_a_framework_and_all_but_the_shell_with_the_library() -> None:
    for language in snippets.LANGUAGES.values():
        titles = {snippet.title for snippet in language.framework(snippets.ANY).snippets}
        assert titles == {snippets.PLAIN} | ({snippets.LIBRARY} if language.key != "shell" else set())


def test_the_snippets_have_the_headers_the_tolerance_and_the_prefix_of_the_platform(app: Flask) -> None:
    for _, framework in FRAMEWORKS:
        code = codes(framework)[-1]
        for part in (signing.ID_HEADER, signing.TIMESTAMP_HEADER, signing.SIGNATURE_HEADER):
            assert part in code
        assert str(signing.TOLERANCE_SECONDS) in code
        assert signing.SECRET_PREFIX in code


def test_the_code_for_a_framework_says_to_dedupe_and_to_answer_first(app: Flask) -> None:
    for _, framework in FRAMEWORKS:
        if framework.key == snippets.ANY:
            continue
        code = re.sub(r"\s*(//|#)?\s+", " ", codes(framework)[0])  # wrapped comments as one line
        assert snippets.SECRET_VARIABLE in code
        assert "once per id (retries bear the same one), and answer; work on it afterwards." in code


def test_a_language_and_a_framework_are_links_and_a_fragment(admin_page: Page, endpoint_id: str) -> None:
    verify = f"{admin_page.base}endpoints/{endpoint_id}/verify"
    page = admin_page.get(f"endpoints/{endpoint_id}/verify").text
    for key in snippets.LANGUAGES:
        assert f'href="{verify}?language={key}#snippets"' in page
    for framework in snippets.LANGUAGES[snippets.DEFAULT].frameworks:
        assert f'href="{verify}?language=python&amp;framework={framework.key}#snippets"' in page
    fragment = admin_page.fragment(f"endpoints/{endpoint_id}/verify?language=shell").text
    assert fragment.lstrip().startswith('<section id="snippets"')


@pytest.mark.parametrize("query", ["language=cobol", "language=python&framework=rails", "framework="])
def test_what_there_is_no_code_for_shows_the_first(admin_page: Page, endpoint_id: str, query: str) -> None:
    text = admin_page.fragment(f"endpoints/{endpoint_id}/verify?{query}").text
    assert "from flask import" in html.unescape(text)


def test_a_test_is_sent_from_beside_the_secret_and_its_outcome_shown(
    admin_page: Page, viewer_page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    address = f"endpoints/{endpoint_id}/try"
    assert f'{address}"' in admin_page.get(f"endpoints/{endpoint_id}/verify").text
    assert address not in viewer_page.get(f"endpoints/{endpoint_id}/verify").text

    shown = admin_page.post(address).location  # as without JavaScript
    engine.run(seconds=60)

    assert re.search(r'id="incident-test".*?Delivered.*?200', admin_page.get(shown).text, re.S)

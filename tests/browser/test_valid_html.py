"""Every answer in HTML, and the styles, before the Nu Html Checker."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.documents import Documents, unseen
from tests.browser.validator import find_problems
from tests.browser.world import prepared
from tests.conftest import make_settings
from tests.patience import patient_app
from webhooks_app import config
from webhooks_app.extensions import db


@pytest.mark.long
def test_every_page_part_and_style_is_valid(
    sqlite_template: Path, redis_database: Callable[[], str], tmp_path: Path
) -> None:
    (tmp_path / "world.db").write_bytes(sqlite_template.read_bytes())
    settings = make_settings(
        f"sqlite:///{tmp_path / 'world.db'}",
        redis_database(),
        tmp_path,
        WEBHOOKS_RETRY_DELAYS="300,1800",
        WEBHOOKS_OPERATORS="acme@example.com",
        WEBHOOKS_SMTP_URL="smtp://127.0.0.1:9",
        WEBHOOKS_MAIL_FROM="hooks@example.com",
        WEBHOOKS_OIDC_ISSUER="http://127.0.0.1:9",
        WEBHOOKS_OIDC_CLIENT_ID="avra",
        WEBHOOKS_BASE_URL="http://localhost:8000",
    )
    app = patient_app(settings)
    with prepared(app) as world:
        documents = Documents(app, world)
        files = [_write(tmp_path / f"{name}.html", text) for name, text in documents.all()]
        assert unseen(app, documents.seen) == set()
        db.session.remove()
        db.engine.dispose()
    styles = sorted((config.ROOT / "static" / "css").glob("*.css"))
    problems = list(find_problems([*files, *styles]))
    assert not problems, "\n".join(problems)


def _write(path: Path, text: str) -> Path:
    assert not path.exists(), f"two documents are named {path.name}"
    path.write_text(text)
    return path

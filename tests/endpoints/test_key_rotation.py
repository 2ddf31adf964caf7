"""Everything encrypted under the newest key, with workers running or not."""

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from webhooks_app.core.encryption import Cipher, DecryptionError
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Endpoint, SigningSecret
from webhooks_app.endpoints import custom_headers, key_rotation, signing_secrets
from webhooks_app.extensions import db

OLD = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # of tests.conftest
NEW = Fernet.generate_key().decode()


def test_afterwards_the_old_key_can_go(
    workspace: Workspace, database: WriteDatabase, databases: Databases
) -> None:
    for number in range(3):
        workspace.endpoint("https://a.example.com/", name=str(number), headers=[("X-Tenant", f"t{number}")])
    workspace.endpoint("https://a.example.com/", name="without headers")
    found = db.session.scalars(select(Endpoint).order_by(Endpoint.id)).all()
    before = [signing_secrets.reveal(database, Cipher([OLD]), each, actor=TESTER) for each in found]

    assert key_rotation.reencrypt_all(databases, Cipher([NEW, OLD]), batch_rows=2) == 4 + 3

    db.session.rollback()
    db.session.expire_all()
    found = db.session.scalars(select(Endpoint).order_by(Endpoint.id)).all()
    assert [signing_secrets.reveal(database, Cipher([NEW]), each, actor=TESTER) for each in found] == before
    assert custom_headers.decrypt(Cipher([NEW]), found[0]) == [("X-Tenant", "t0")]
    with pytest.raises(DecryptionError):
        signing_secrets.reveal(database, Cipher([OLD]), found[0], actor=TESTER)


def test_without_the_key_it_was_made_under_nothing_changes(
    workspace: Workspace, databases: Databases
) -> None:
    workspace.endpoint("https://a.example.com/")
    before = db.session.scalars(select(SigningSecret.ciphertext)).all()
    with pytest.raises(DecryptionError):
        key_rotation.reencrypt_all(databases, Cipher([NEW]))
    db.session.rollback()
    assert db.session.scalars(select(SigningSecret.ciphertext)).all() == before

"""Accounts: one for each address."""

import pytest

from tests.conftest import PASSWORD
from webhooks_app.accounts import users
from webhooks_app.db.engines import WriteDatabase


def test_one_address_is_one_account_however_it_is_spelled(database: WriteDatabase) -> None:
    users.add(database, email=" A@EXÄMPLE.com", name="A", password=PASSWORD)
    with pytest.raises(users.EmailTaken):
        users.add(database, email="a@xn--exmple-cua.com", name="A", password=PASSWORD)

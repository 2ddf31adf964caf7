"""Accounts: one for each address, and what log-ins are counted by."""

import pytest

from tests.conftest import PASSWORD
from webhooks_app.accounts import users
from webhooks_app.db.engines import WriteDatabase


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_ipv6_counts_by_its_network(address: str, key: str) -> None:
    assert users.limit_key(address) == key


def test_one_address_is_one_account_however_it_is_spelled(database: WriteDatabase) -> None:
    users.add(database, email=" A@EXÄMPLE.com", name="A", password=PASSWORD)
    with pytest.raises(users.EmailTaken):
        users.add(database, email="a@xn--exmple-cua.com", name="A", password=PASSWORD)

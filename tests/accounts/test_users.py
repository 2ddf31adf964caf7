"""Accounts: one for each address."""

import pytest

from tests.conftest import PASSWORD
from webhooks_app.accounts import users
from webhooks_app.core import mail
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.transport import host_names


def test_one_address_is_one_account_however_it_is_spelled(database: WriteDatabase) -> None:
    users.add(database, email=" A@EXÄMPLE.com", name="A", password=PASSWORD)
    with pytest.raises(users.EmailTaken):
        users.add(database, email="a@xn--exmple-cua.com", name="A", password=PASSWORD)


def test_one_domain_is_not_taken_for_another(database: WriteDatabase) -> None:
    users.add(database, email="a@strasse.de", name="A", password=PASSWORD)
    users.add(database, email="a@straße.de", name="B", password=PASSWORD)  # IDNA 2003 would say it is taken
    assert users.email_to_look_up("A@STRAẞE.de") == users.email_to_look_up("a@straße.de")


def test_what_is_no_address_gets_no_account(database: WriteDatabase) -> None:
    with pytest.raises(ValueError, match="Enter an e-mail address"):
        users.add(database, email="notanemail", name="A", password=PASSWORD)
    assert users.email_to_look_up(" NotAnEmail ") == "notanemail"


@pytest.mark.parametrize(
    "domain", ["straße.de", "STRAẞE.de", "βόλος.gr", "bücher。example", "ｅｘａｍｐｌｅ.com", "xn--fa-hia.de"]
)
def test_the_domain_of_an_address_is_spelled_as_the_host_of_an_endpoint(domain: str) -> None:
    host = host_names.canonical_host(domain)
    assert users.email_to_look_up(f"a@{domain}") == f"a@{host}"
    assert mail.parse_address(f"a@{domain}").domain == host

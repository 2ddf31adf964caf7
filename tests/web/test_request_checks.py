"""What no view gets to see."""

import pytest

from tests.web.conftest import Page


@pytest.mark.parametrize(
    "url",
    ["/w/%00/members/", "endpoints/%00", "deliveries/%00", "recoveries/%00", "deliveries/changes?seen=%00~x"],
)
def test_a_nul_in_an_address_is_nothing_there(admin_page: Page, url: str) -> None:
    assert admin_page.get(url).status_code in (204, 404)


def test_a_nul_in_a_form_is_no_bug(admin_page: Page, anonymous_page: Page, home: str) -> None:
    assert anonymous_page.post("/login", {"email": "a\0b@x.y", "password": "x"}).status_code == 422
    assert admin_page.post("deliveries/replay", {"delivery": "\0"}).status_code == 404
    fragment = {"HX-Request-Type": "partial", "HX-Current-URL": "http://["}
    assert anonymous_page.get("deliveries/", headers=fragment).status_code == 401

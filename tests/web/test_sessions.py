"""Where whoever has no session is sent."""

from tests.web.conftest import FRAGMENT_HEADERS, Page


def test_a_fragment_of_an_expired_session_leads_to_the_log_in(anonymous_page: Page) -> None:
    response = anonymous_page.get("", headers=FRAGMENT_HEADERS)
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, "/login")
    assert response.headers["WWW-Authenticate"].startswith("Cookie ")

"""Two attempts side by side; nobody sees another workspace's."""

import re

import pytest

from tests.conftest import Workspace
from tests.reading import captured
from tests.receivers import Answer, Receiver
from tests.web.conftest import Page
from tests.web.deliveries import newest
from webhooks_app.core import ids
from webhooks_app.worker.engine import DeliveryEngine


@pytest.fixture
def failed_after_success(workspace: Workspace, receiver: Receiver, engine: DeliveryEngine) -> tuple[str, str]:
    """The delivery that succeeded, and the next one, which did not."""
    workspace.endpoint(receiver.url)
    receiver.answer = Answer(200, b'{"ok": true, "n": 1}', {"x-build": "41"})
    workspace.send()
    engine.run(seconds=60)
    succeeded = newest().id
    receiver.answer = Answer(500, b'{"ok": false, "n": 1, "why": "<b>column</b>"}', {"x-build": "42"})
    workspace.send()
    engine.run(seconds=60)
    return succeeded, newest().id


def test_the_last_success_is_compared_with_the_failure(
    failed_after_success: tuple[str, str], viewer_page: Page
) -> None:
    succeeded, failed = failed_after_success
    page = viewer_page.get(f"deliveries/{failed}/compare").text
    assert "Left: 200" in page
    assert f"deliveries/{succeeded}?attempt=1#attempt-1" in page
    assert re.search(r"<tr data-differs>\s*<th[^>]*><code>x-build</code>", page)
    assert '<span data-side="left"><span class="vh">left: </span>  &#34;ok&#34;: true,</span>' in page
    assert "&lt;b&gt;column&lt;/b&gt;" in page
    assert ":path" in page


def test_any_two_attempts_can_be_chosen(failed_after_success: tuple[str, str], admin_page: Page) -> None:
    succeeded, failed = failed_after_success
    one, other = ids.attempt_id(succeeded, 1), ids.attempt_id(failed, 1)
    page = admin_page.get(f"deliveries/{failed}/compare?left={other}&right={one}").text
    assert "Left: 500" in page
    same = admin_page.get(f"deliveries/{failed}/compare?left={other}&right={other}").text
    assert "Both are the same" in same
    assert "data-differs" not in same


def test_without_a_success_the_attempts_of_the_delivery_are_compared(failed: str, admin_page: Page) -> None:
    page = admin_page.get(f"deliveries/{failed}/compare")
    assert page.status_code == 200
    assert "Last success" not in page.text


def test_what_is_not_there_cannot_be_compared(
    failed_after_success: tuple[str, str],
    admin_page: Page,
    anonymous_page: Page,
    stranger_page: Page,
    workspace: Workspace,
) -> None:
    _, failed = failed_after_success
    own = f"deliveries/{failed}/compare"
    other = captured(r"/w/(\w+)/", stranger_page.get("/").location)
    assert anonymous_page.get(own).status_code == 302
    assert stranger_page.get(own).status_code == 404
    assert stranger_page.get(f"/w/{other}/alerts/webhooks/{own}").status_code == 404
    for bad in ("att_1", failed, ids.attempt_id(failed, 9), ids.attempt_id(ids.new("dlv"), 1)):
        assert admin_page.get(own, query_string={"left": bad}).status_code == 404
    workspace.send()
    not_attempted = newest().id
    assert admin_page.get(f"deliveries/{not_attempted}/compare").location.endswith(f"/{not_attempted}")

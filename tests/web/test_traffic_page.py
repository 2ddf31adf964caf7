"""The charts of traffic, of a workspace and on an endpoint's page."""

import html
import re

from tests.conftest import Workspace
from tests.receivers import Answer, Receiver
from tests.waiting import wait_for_a_long_rest_of_the_bin
from tests.web.conftest import Page
from webhooks_app.worker.engine import DeliveryEngine


def addresses(text: str, of: str) -> list[str]:
    """The bar's and the legend's addresses of what is called so."""
    titled = re.findall(rf'<a href="([^"]+)"[^>]*><title>{of}: ', text)
    return [html.unescape(each) for each in titled]


def test_each_part_of_a_bar_leads_to_its_deliveries(
    admin_page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.endpoint(f"{receiver.url}/other")
    receiver.answer = lambda received: Answer(404 if received.path.endswith("/other") else 200)
    wait_for_a_long_rest_of_the_bin()
    workspace.send()
    engine.run(seconds=60)

    for page, counts in ((f"endpoints/{endpoint_id}", ["200"]), ("traffic/", ["404", "200"])):
        for period in ("1h", "24h", "7d", "30d"):
            text = admin_page.get(f"{page}?period={period}").text
            for name in counts:
                [address] = addresses(text, name)
                log = admin_page.get(address).text
                assert log.count("<tbody") == 1, address
                assert f'<option value="{name}" selected>' in log
                assert re.search(rf'class="c-response.*?{name}', log, re.DOTALL)
        text = admin_page.get(f"{page}?by=event_type").text
        [address] = addresses(text, "batch-lifecycle")
        assert admin_page.get(address).text.count("<tbody") == len(counts)


def test_a_workspace_sees_its_own_traffic_only(
    stranger_page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    engine.run(seconds=60)

    home = stranger_page.get("/").location
    assert home
    assert "Nothing was sent in the last 24 h" in stranger_page.get(f"{home}traffic/").text


def test_htmx_gets_the_chart_alone(viewer_page: Page) -> None:
    text = viewer_page.fragment("traffic/?period=nonsense&by=nonsense").text
    assert text.strip().startswith('<section id="traffic"')
    assert "Attempts an hour" in text


def test_an_anonymous_visitor_logs_in_first(anonymous_page: Page) -> None:
    assert "/login" in (anonymous_page.get("traffic/").location or "")

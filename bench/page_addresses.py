"""The addresses of the console's pages, by the names under which their times are printed."""

from sqlalchemy import text

from bench.deployment import BENCH, Deployment
from webhooks_app.deliveries import recoveries
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.extensions import services


def name_pages(deployment: Deployment, endpoints: list[str], count: int) -> dict[str, str]:
    """Return the address of every page, by the name under which its time is printed."""
    workspace = f"/w/{deployment.workspace_id}"
    base = f"{workspace}/alerts/webhooks"
    return (
        _list_urls(base)
        | _endpoint_urls(base, endpoints[0])
        | _outage_urls(base, endpoints[1])
        | _delivery_urls(base, count)
        | _recovery_urls(base, deployment)
        | {
            "traffic, 24 h": f"{base}/traffic/",
            "traffic, 30 d by event type": f"{base}/traffic/?period=30d&by=event_type",
            "catalog": f"{base}/catalog/",
            "API tokens": f"{workspace}/tokens/",
            "members": f"{workspace}/members/",
            "audit log": f"{workspace}/audit/",
            "settings": f"{workspace}/settings/",
            "profile": f"{workspace}/profile/",
        }
    )


def _list_urls(base: str) -> dict[str, str]:
    ids = _ids("SELECT id FROM endpoints ORDER BY id LIMIT 50")
    seen = "&".join(f"seen={each}~0" for each in ids)
    return {
        "endpoints": f"{base}/",
        "endpoints, next page": f"{base}/?after={ids[0]}",
        "endpoints, searched": f"{base}/?q=49&event=batch-lifecycle",
        "endpoints, what has changed": f"{base}/endpoints/changes?{seen}",
        "endpoints, suggested": f"{base}/endpoints/suggestions?endpoint=4",
    }


def _outage_urls(base: str, endpoint_id: str) -> dict[str, str]:
    one = f"{base}/endpoints/{endpoint_id}"
    return {
        "failing endpoint": one,
        "failing endpoint, what has changed": f"{one}/live?state=failing&now=0&kind=incident-True&stats=0",
        "failing endpoint, deliveries": f"{one}/deliveries",
    }


def _endpoint_urls(base: str, endpoint_id: str) -> dict[str, str]:
    one = f"{base}/endpoints/{endpoint_id}"
    return {
        "endpoint, 24 h": one,
        "endpoint, 30 d": f"{one}?period=30d",
        "endpoint, 30 d by event type": f"{one}?period=30d&by=event_type",
        "endpoint, deliveries": f"{one}/deliveries",
        "endpoint, deliveries that failed": f"{one}/deliveries?status=failed",
        "endpoint, verify": f"{one}/verify",
        "endpoint, test": f"{one}/test",
        "endpoint, settings": f"{one}/settings",
        "new endpoint": f"{base}/endpoints/new",
    }


def _delivery_urls(base: str, count: int) -> dict[str, str]:
    failed = _id("SELECT id FROM deliveries WHERE state = 'failed' ORDER BY id DESC LIMIT 1")
    middle = _id(f"SELECT id FROM deliveries ORDER BY id LIMIT 1 OFFSET {count // 2}")
    return {
        "deliveries": f"{base}/deliveries/",
        "deliveries, in the middle of the log": f"{base}/deliveries/?before={middle}",
        "deliveries that failed": f"{base}/deliveries/?status=failed",
        "deliveries by response": f"{base}/deliveries/?response=timeout",
        "deliveries by event type and time": f"{base}/deliveries/?event_type=batch-request&range=7d",
        "deliveries by id": f"{base}/deliveries/?q={failed}",
        "deliveries by a value that is rare": f"{base}/deliveries/?q=BATCH_{count // 2:07d}",
        "deliveries by a value that all have": f"{base}/deliveries/?q=succeeded",
        "deliveries by such a value that failed": f"{base}/deliveries/?q=succeeded&status=failed",
        "deliveries by text that is rare": f"{base}/deliveries/?q=batch_{count // 2:07d}&in=payloads",
        "deliveries, one opened": f"{base}/deliveries/?status=failed&open={failed}",
        "deliveries, what has changed": f"{base}/deliveries/changes?newest={failed}",
        "delivery": f"{base}/deliveries/{failed}",
        "delivery, compared": f"{base}/deliveries/{failed}/compare",
    }


def _recovery_urls(base: str, deployment: Deployment) -> dict[str, str]:
    wake_ups, failures = services().wake_ups, LogFilter(status=Status.FAILED)
    recovery_id = recoveries.start(
        services().databases, wake_ups, deployment.workspace_id, failures, actor=BENCH
    )
    new = f"{base}/recoveries/new"
    return {
        "recoveries": f"{base}/recoveries/",
        "recovery of what failed, counted": f"{new}?status=failed&range=all",
        "recovery, by response and time": f"{new}?status=failed&response=timeout&range=7d",
        "recovery, running": f"{base}/recoveries/{recovery_id}",
    }


def _id(statement: str) -> str:
    return _ids(statement)[0]


def _ids(statement: str) -> list[str]:
    with services().read.connect() as connection:
        return [str(each) for each in connection.execute(text(statement)).scalars()]

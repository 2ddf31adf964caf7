"""The metrics of all processes, for whoever may have them."""

from webhooks_app.services import Services
from webhooks_app.web import platform_health


def render(services: Services, accept: str) -> tuple[bytes, str]:
    """Return the body and its content type, in the format that the Accept header asks for."""
    # Not at the top: only who asks for metrics pays for what they need.
    from webhooks_app.monitoring import exposition

    health = platform_health.read(services)
    counted = health.facts.reports.counters if health.facts else services.counters.snapshot()
    found = sorted({(each.code.value, each.severity.value) for each in health.problems})
    return exposition.render(health.facts, counted, found, accept=accept)

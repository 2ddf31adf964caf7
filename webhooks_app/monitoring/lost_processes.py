"""Which processes are gone that should not be. Pure."""

from webhooks_app.monitoring.own_report import KINDS
from webhooks_app.monitoring.reports import FORGOTTEN_AFTER, Process, Reports


def find(found: Reports) -> list[Process]:
    """Return the processes that stopped reporting without an end and were not replaced, the newest first.

    A process that began after another one last reported replaces it, wherever it runs: a pool starts a new
    worker in the place of one that was killed, and an orchestrator a new container on another host. Processes
    that ended of their own accord are not lost, and those that have been gone for an hour no longer are.
    """
    lost: list[Process] = []
    for kind in KINDS:
        of_kind = [each for each in found.processes if each.kind == kind]
        # Whoever came last takes the place of whoever went last, so that none fills two places.
        newcomers = sorted(
            (each for each in of_kind if each.is_alive(found.now)), key=lambda each: each.began_at
        )
        gone = [each for each in of_kind if each.ended_at is None and not each.is_alive(found.now)]
        for each in sorted(gone, key=lambda each: each.reported_at, reverse=True):
            if newcomers and newcomers[-1].began_at > each.reported_at:
                newcomers.pop()
            elif found.now - each.reported_at < FORGOTTEN_AFTER:
                lost.append(each)
    return lost

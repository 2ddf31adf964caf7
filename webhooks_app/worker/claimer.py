"""Find the endpoints that have due deliveries, and claim deliveries as slots become free."""

import math
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from time import time_ns

from webhooks_app.core import clock
from webhooks_app.db import claim_sql
from webhooks_app.db.claim_sql import CLAIM, CLAIM_FEW, CLAIM_UNSCANNED
from webhooks_app.db.driver_sql import DriverStatement
from webhooks_app.db.engines import Databases
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.tracing import Interval, Tracer
from webhooks_app.worker import attempt_spans, claims, endpoint_rate_limits, endpoint_scan
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.concurrency import Concurrency
from webhooks_app.worker.due_endpoints import DueEndpoints
from webhooks_app.worker.engine_limits import ClaimLimits


class Claimer:
    """One per engine; `claimed` counts the deliveries that the present run has claimed."""

    def __init__(
        self,
        databases: Databases,
        wake_ups: WakeUps,
        concurrency: Concurrency,
        *,
        lease: timedelta,
        limits: ClaimLimits,
    ) -> None:
        self._databases = databases
        self._wake_ups = wake_ups
        self._concurrency = concurrency
        self._lease = lease
        self._limits = limits
        self._endpoints = DueEndpoints()
        self._is_scan_requested = False
        # What wake-ups named, and whether a scan is still to confirm that it was all there was.
        self._named: set[str] = set()
        self._is_scan_owed = False
        self._scanned_at = self._scan_seconds = self._claimed_at = self._rests_until = 0.0
        self.claimed = 0
        self.tracer: Tracer | None = None

    @property
    def expects_more(self) -> bool:
        """Whether deliveries are known to be due, or may be."""
        return bool(self._endpoints or self._is_scan_requested or self._is_scan_owed)

    def start_run(self) -> None:
        """Forget what earlier runs knew; the first step then scans."""
        self.claimed = 0
        self._rests_until = 0.0
        self._endpoints.clear()
        self._named.clear()
        self._is_scan_owed = False
        self.request_scan()

    @property
    def rest_seconds(self) -> float:
        """Seconds until the scan or claim that was asked for may run; infinite where none was asked for."""
        if self._is_scan_requested or self._named:
            return max(0.0, self._rests_until - time.monotonic())
        if self._is_scan_owed:
            return max(0.0, self._scanned_at + self._limits.scan_interval_seconds - time.monotonic())
        return math.inf

    def request_scan(self) -> None:
        self._is_scan_requested = True

    def pause_endpoint(self, endpoint_id: str, until: datetime) -> None:
        """Claim nothing of the endpoint until then."""
        self._endpoints.set_aside({endpoint_id: until})

    def claim(self, free_slots: int, *, is_sending: bool) -> list[ClaimedDelivery] | None:
        """Scan where there may be new deliveries, and claim where that is worth its price.

        `is_sending` says that requests are in flight. None means that neither was worth it. Raises
        errors of the database.
        """
        claimable = self._endpoints.claimable(clock.now())
        self._wake_ups.keep_awake()
        if free_slots > 0:
            self._take_request()
        elif self._concurrency.can_take(claimable, 1):
            self._wake_ups.call_another_worker()  # which then takes the requests, too
        if self._named and (claimable or free_slots <= 0):
            self.request_scan()  # a claim from all then gives the others their share
            self._named.clear()
        if self._named and time.monotonic() >= self._rests_until:
            return self._claim_named(free_slots)
        if self._is_time_to_scan(claimable, free_slots):
            self._scan()
            return self._claim(free_slots)
        if self._is_claim_worthwhile(claimable, free_slots, is_sending=is_sending):
            return self._claim(free_slots)
        return None

    def _take_request(self) -> None:
        """Note the endpoints that a wake-up names; if it names none or many, request a scan at once.

        A scan follows a while later in any case, as more may be due than was named.
        """
        request = self._wake_ups.take_request()
        if request is None:
            return
        named = self._named | request.endpoint_ids
        if not request.endpoint_ids or len(named) > self._limits.unscanned_endpoints:
            self._is_scan_requested = True
        else:
            self._named, self._is_scan_owed = named, True

    def _is_time_to_scan(self, claimable: Mapping[str, object], free_slots: int) -> bool:
        since_last = time.monotonic() - self._scanned_at
        if since_last > self._limits.scan_interval_seconds:
            return True
        rest_seconds = self._limits.scan_pause_factor * self._scan_seconds
        if self._is_scan_requested and (not claimable or since_last > rest_seconds):
            return time.monotonic() >= self._rests_until
        has_more = self._endpoints.has_more and free_slots > 0
        return has_more and not self._concurrency.can_take(claimable, free_slots)

    def _is_claim_worthwhile(
        self, claimable: Mapping[str, object], free_slots: int, *, is_sending: bool
    ) -> bool:
        since_last = time.monotonic() - self._claimed_at
        is_urgent = not is_sending or since_last > self._limits.interval_seconds
        wanted = 1 if is_urgent else self._limits.worthwhile_count
        return free_slots >= wanted and self._concurrency.can_take(claimable, wanted)

    def _scan(self) -> None:
        """Find the due endpoints of the next stretch."""
        self._scanned_at, now = time.monotonic(), clock.now()
        cursor, count = self._endpoints.cursor, self._limits.endpoints_per_scan
        with self._databases.read.connect_autocommit() as connection:
            scanned = endpoint_scan.scan(connection, after=cursor, count=count)
        self._endpoints.replace_scanned(scanned, is_end=len(scanned) < count, now=now)
        self._scan_seconds = time.monotonic() - self._scanned_at
        if cursor == "":  # a request that came later may be about a stretch that was scanned before it
            self._is_scan_requested = self._is_scan_owed = False
            self._named.clear()

    def _claim(self, free_slots: int) -> list[ClaimedDelivery]:
        self._claimed_at = time.monotonic()
        endpoints = self._endpoints.claimable(clock.now())
        quotas = self._concurrency.quotas(endpoints, free_slots)
        if not quotas:
            if self._concurrency.can_take(endpoints, 1):
                self._wake_ups.call_another_worker()
            return []
        rates = {name: rate for name in quotas if (rate := endpoints[name].rate_per_second)}
        return self._claim_quotas(quotas, rates)

    def _claim_named(self, free_slots: int) -> list[ClaimedDelivery]:
        """Claim from what wake-ups named; a scan follows where that gives nothing, or may have left some."""
        named, self._named = self._named, set()
        if claim_sql.brings_bodies(self._databases.write):
            free_slots = min(free_slots, self._limits.deliveries_with_bodies)
        quotas = self._concurrency.quotas(named, free_slots)
        claimed = self._claim_quotas(quotas, {}, CLAIM_UNSCANNED) if quotas else []
        counts = Counter(each.endpoint_id for each in claimed)
        if not all(0 < counts[name] < quotas.get(name, 0) for name in named):
            self.request_scan()
        return claimed

    def _claim_quotas(
        self,
        quotas: dict[str, int],
        rates: Mapping[str, int],
        statement: DriverStatement | None = None,
    ) -> list[ClaimedDelivery]:
        began_ns = time_ns()
        is_single = not rates and len(set(quotas.values())) == 1
        if statement is None:
            statement = CLAIM_FEW if self._is_few(quotas) else CLAIM
        database = self._databases.write
        with database.begin_single() if is_single else database.begin() as connection:
            now = clock.now()  # not earlier, or the wait for SQLite's lock would be taken off the lease
            quotas = endpoint_rate_limits.reserve(connection, quotas, rates, now=now)
            claimed = claims.claim_due(connection, quotas, now=now, lease=self._lease, statement=statement)
            free_at = endpoint_rate_limits.spend(connection, claimed, rates, now=now)
        self._endpoints.note_claims(quotas, claimed)
        self._endpoints.set_aside(free_at)
        self.claimed += len(claimed)
        if self.tracer is not None:
            took = Interval(began_ns, time_ns())
            self.tracer.claimed(attempt_spans.of_claims(claimed), took)
        self._rest_after(len(claimed))
        return claimed

    def _is_few(self, quotas: Mapping[str, int]) -> bool:
        limits = self._limits
        are_few_endpoints = len(quotas) <= limits.endpoints_with_bodies
        return are_few_endpoints and sum(quotas.values()) <= limits.deliveries_with_bodies

    def _rest_after(self, claimed: int) -> None:
        """Make the next scan wait longer the more was claimed, as more deliveries then come meanwhile.

        At a low rate each delivery goes at once. At a high one a scan and a claim, which cost much the same
        however little they find, find more.
        """
        rest_seconds = min(self._limits.longest_pause_seconds, self._limits.pause_seconds_each * claimed)
        self._rests_until = time.monotonic() + rest_seconds

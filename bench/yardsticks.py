"""What the engine is compared with: libcurl alone, as the limit, and an RQ job each, the usual way."""

import json
import time
from typing import Any

import pycurl
import requests
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from bench.deployment import payload
from bench.sink_client import SINK_PORT
from webhooks_app.core import signing
from webhooks_app.core.clock import now
from webhooks_app.events.accept import envelope

URL = f"http://127.0.0.1:{SINK_PORT}/yardstick"
IN_FLIGHT = 200


def body() -> bytes:
    raw_data = json.dumps(payload()).encode()
    return envelope(
        event_id="evt_0", event_type="batch-lifecycle", workspace_id="ws_0", raw_data=raw_data, now=now()
    )


def bare_libcurl(count: int) -> float:
    """Return the requests a second of a loop that only sends: no claim, no signature, no record."""
    multi, content = pycurl.CurlMulti(), body()
    idle = [_handle(content) for _ in range(IN_FLIGHT)]
    started = time.perf_counter()
    sent = finished = 0
    while finished < count:
        while idle and sent < count:
            handle = idle.pop()
            handle.setopt(pycurl.HTTPHEADER, [f"webhook-id: dlv_{sent}", "Expect:", "Accept:"])
            multi.add_handle(handle)
            sent += 1
        multi.perform()
        for handle in _done(multi):
            multi.remove_handle(handle)
            idle.append(handle)
            finished += 1
        multi.select(0.05)
    return count / (time.perf_counter() - started)


def _handle(content: bytes) -> Any:
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, URL)
    handle.setopt(pycurl.POSTFIELDS, content)
    handle.setopt(pycurl.WRITEFUNCTION, len)
    return handle


def _done(multi: Any) -> list[Any]:
    _, succeeded, failed = multi.info_read()
    return [*succeeded, *(item[0] for item in failed)]


def deliver_one(delivery_id: str, content: str, secret: str) -> int:
    """Sign and post one delivery, as the usual job does; return the status."""
    timestamp = int(time.time())
    signature = signing.signature(
        [signing.key_of(secret)], message_id=delivery_id, timestamp=timestamp, body=content.encode()
    )
    headers = {"webhook-id": delivery_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
    return requests.post(URL, data=content.encode(), headers=headers, timeout=5).status_code


def job_for_each(redis_url: str, count: int) -> float:
    """Return the deliveries a second of one RQ job each, which posts with `requests` and records nothing."""
    redis = Redis.from_url(redis_url)
    queue = Queue("naive", connection=redis, serializer=JSONSerializer)
    secret, content = signing.new_secret(), body().decode()
    for number in range(count):
        queue.enqueue(deliver_one, f"dlv_{number}", content, secret, result_ttl=0)
    worker = SimpleWorker([queue], connection=redis, serializer=JSONSerializer)
    started = time.perf_counter()
    worker.work(burst=True, logging_level="ERROR")
    return count / (time.perf_counter() - started)

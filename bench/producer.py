"""The bench's producer: posts one request again and again over libcurl, and prints what that took as JSON.

    python -m bench.producer URL TOKEN COUNT CONNECTIONS < BODY

A process of its own, so that its work is not taken for the platform's; `cpu_seconds` says how much it was.
"""

import json
import resource
import sys
import time
from typing import Any

import pycurl


def main() -> None:
    url, token, count, connections = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    body = sys.stdin.buffer.read()
    multi = pycurl.CurlMulti()
    idle = [_handle(url, token, body) for _ in range(connections)]
    latencies_ms: list[float] = []
    started, used = time.perf_counter(), _cpu_seconds()
    sent = answered = 0
    while answered < count:
        while idle and sent < count:
            multi.add_handle(idle.pop())
            sent += 1
        multi.perform()
        waiting = 1
        while waiting:
            waiting, succeeded, failed = multi.info_read()
            assert not failed, failed
            for handle in succeeded:
                status = handle.getinfo(pycurl.RESPONSE_CODE)
                assert 200 <= status < 300, status
                latencies_ms.append(handle.getinfo(pycurl.TOTAL_TIME) * 1000)
                multi.remove_handle(handle)
                idle.append(handle)
                answered += 1
        multi.select(0.05)
    latencies_ms.sort()
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - started,
                "cpu_seconds": _cpu_seconds() - used,
                "p50_ms": latencies_ms[count // 2],
                "p99_ms": latencies_ms[count * 99 // 100],
            }
        )
    )


def _handle(url: str, token: str, body: bytes) -> Any:
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, url)
    headers = [f"Authorization: Bearer {token}", "Content-Type: application/json", "Expect:"]
    handle.setopt(pycurl.HTTPHEADER, headers)
    if body:
        handle.setopt(pycurl.POSTFIELDS, body)
    handle.setopt(pycurl.WRITEFUNCTION, len)
    return handle


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()

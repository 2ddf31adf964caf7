"""Has a Celery worker place orders; the second of two with one id is rolled back."""

import sys

from celery.contrib.testing.worker import start_worker
from celery_shop import app, engine, metadata, place_order

metadata.create_all(engine)
app.conf.update(result_backend="cache+memory://", broker_url="memory://")
with start_worker(app, pool="solo", perform_ping_check=False, loglevel="ERROR"):
    results = [place_order.delay(name) for name in sys.argv[1:]]
    for result in results:
        result.get(timeout=60, propagate=False)
    print(*[result.status for result in results])
    # Behind them in the queue: whatever they asked for has been handed over before.
    print(app.tasks["celery_shop.hand_over"].delay().get(timeout=60))

"""A Celery app whose own worker is the relay: no other process is needed.

A task that commits asks for a hand-over at once; the schedule of `celery beat` makes up for what is lost.
"""

import os

from celery import Celery
from sqlalchemy import Column, MetaData, String, Table, create_engine, insert
from sqlalchemy.orm import Session

from avra_client import Client, dbapi, outbox, outbox_schema
from avra_client.relay import HandOverFailed, Relay

DATABASE_URL = os.environ["DATABASE_URL"]

app = Celery("shop", broker=os.environ["BROKER_URL"])
app.conf.beat_schedule = {"outbox": {"task": "celery_shop.hand_over", "schedule": 5.0}}

engine = create_engine(DATABASE_URL)
metadata = MetaData()
orders = Table("orders", metadata, Column("batch_id", String(100), primary_key=True))
outbox_schema.table(metadata)


@app.task(name="celery_shop.place_order")
def place_order(batch_id: str) -> None:
    with Session(engine) as session, session.begin():
        outbox.send(session, "batch-lifecycle", {"batch_id": batch_id, "status": "queued"})
        session.execute(insert(orders).values(batch_id=batch_id))
    hand_over.delay()


@app.task(name="celery_shop.hand_over", autoretry_for=(HandOverFailed,), retry_backoff=True, max_retries=3)
def hand_over() -> int:
    with Client(os.environ["AVRA_URL"], os.environ["AVRA_TOKEN"]) as client:
        return Relay(dbapi.connector(DATABASE_URL), client).run_once()

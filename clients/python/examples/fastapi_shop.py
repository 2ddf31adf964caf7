"""A FastAPI app on asynchronous SQLAlchemy: an order and its event are written together, or neither is."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import Column, MetaData, String, Table, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from avra_client import outbox, outbox_schema

engine = create_async_engine(os.environ["DATABASE_URL"])  # sqlite+aiosqlite:///…, postgresql+psycopg://…
sessions = async_sessionmaker(engine)
metadata = MetaData()
orders = Table("orders", metadata, Column("batch_id", String(100), primary_key=True))
outbox_schema.table(metadata)  # where Alembic compares the metadata, it creates the table with the others


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


class NewOrder(BaseModel):
    batch_id: str


@app.post("/orders", status_code=201)
async def create_order(order: NewOrder) -> NewOrder:
    try:
        async with sessions.begin() as session:
            data = {"batch_id": order.batch_id, "status": "queued"}
            await outbox.send_async(session, "batch-lifecycle", data)
            await session.execute(insert(orders).values(batch_id=order.batch_id))
    except IntegrityError:
        raise HTTPException(409, "There is such an order.") from None
    return order

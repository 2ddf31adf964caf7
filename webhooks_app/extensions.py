"""The Flask extensions, and the services that views, jobs and commands share."""

from dataclasses import dataclass, field
from datetime import datetime
from threading import BoundedSemaphore

from flask import Flask, current_app, has_app_context
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import Engine, create_engine

from webhooks_app.config import Settings
from webhooks_app.core import clock
from webhooks_app.core.encryption import Cipher
from webhooks_app.db import engines
from webhooks_app.db.database_limits import worker_limits
from webhooks_app.db.engines import Databases, ReadDatabase, WriteDatabase
from webhooks_app.db.models.base import Base
from webhooks_app.events.group_commit import GroupCommit
from webhooks_app.jobs.wake_ups import WakeUps

# What a view has read stays readable after its action; what it reads afterwards is read anew.
db = SQLAlchemy(model_class=Base, disable_autonaming=True, session_options={"expire_on_commit": False})
login = LoginManager()
csrf = CSRFProtect()

_KEY = "services"


@dataclass
class Services:
    """What one process has of the platform: its settings, keys and connections."""

    settings: Settings
    cipher: Cipher
    wake_ups: WakeUps
    databases: Databases
    started_at: datetime = field(default_factory=clock.now)
    # An export takes a thread for as long as its reader does; most of them stay for events and pages.
    export_slots: BoundedSemaphore = field(init=False)
    group_commit: GroupCommit = field(init=False)

    def __post_init__(self) -> None:
        self.group_commit = GroupCommit(self.databases, self.wake_ups)
        self.export_slots = BoundedSemaphore(max(1, self.settings.web_threads // 4))

    @property
    def read(self) -> ReadDatabase:
        return self.databases.read

    @property
    def write(self) -> WriteDatabase:
        return self.databases.write


def open_services(settings: Settings, *, waits_for_disk: bool) -> Services:
    """Open what a worker process needs; see `engines.prepare` for `waits_for_disk`."""
    limits = worker_limits(settings.lease_seconds)
    engine = create_engine(settings.database_url, **engines.engine_options(settings.database_url, limits))
    engines.prepare(engine, waits_for_disk=waits_for_disk, limits=limits)
    return _services(settings, engines.databases_of(engine))


def attach_services(app: Flask, settings: Settings, engine: Engine) -> None:
    """Give a web application its services, on the prepared engine of its session."""
    databases = engines.databases_of(engine, after_commit=end_snapshot)
    app.extensions[_KEY] = _services(settings, databases)


def _services(settings: Settings, databases: Databases) -> Services:
    return Services(
        settings=settings,
        cipher=Cipher(settings.encryption_keys),
        wake_ups=WakeUps(settings.redis_url),
        databases=databases,
    )


def services(app: Flask | None = None) -> Services:
    """Return the services of `app`, or of the application whose context this is."""
    found: Services = (app or current_app).extensions[_KEY]
    return found


def end_snapshot() -> None:
    """End what the view's session has read so far, so that it sees what was committed since.

    Called after each commit of the web application; a view that works for long between two reads calls it
    too, as SQLite and PostgreSQL keep old rows for as long as a snapshot is open.
    """
    if has_app_context():
        db.session.commit()  # nothing is ever written through it

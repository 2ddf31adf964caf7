"""The Flask extensions, and the services that views and commands share."""

from dataclasses import dataclass, field
from functools import cached_property

from flask import Flask, current_app, has_app_context
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import Engine

from webhooks_app.accounts import passkey_ceremonies
from webhooks_app.accounts.oidc_provider import Provider
from webhooks_app.accounts.passkey_ceremonies import RelyingParty
from webhooks_app.config import Settings
from webhooks_app.core.encryption import Cipher
from webhooks_app.db import engines
from webhooks_app.db.keyset import SearchLimits
from webhooks_app.db.models.base import Base
from webhooks_app.deliveries.log import search
from webhooks_app.deliveries.log.export_slots import ExportSlots
from webhooks_app.events.group_commit import DEFAULT_LIMITS as DEFAULT_GROUP_LIMITS
from webhooks_app.events.group_commit import GroupCommit, GroupLimits
from webhooks_app.jobs.wake_limits import DEFAULT_LIMITS as DEFAULT_WAKE_LIMITS
from webhooks_app.jobs.wake_limits import WakeLimits
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.services import Services

# What a view has read stays readable after its action; what it reads afterwards is read anew.
db = SQLAlchemy(model_class=Base, disable_autonaming=True, session_options={"expire_on_commit": False})
login = LoginManager()
csrf = CSRFProtect()

_KEY = "services"


@dataclass
class WebServices(Services):
    """What a web process has besides: what accepts events, and how many exports may run."""

    # Each export reads page after page of the log; most threads stay for events and pages of the console.
    export_slots: ExportSlots = field(init=False)
    group_commit: GroupCommit = field(init=False)
    group_limits: GroupLimits = DEFAULT_GROUP_LIMITS
    search_limits: SearchLimits = search.LIMITS  # of a page of the delivery log
    # Set when the process was asked to end and still answers, so that balancers send nothing new.
    is_ending: bool = False

    @cached_property
    def relying_party(self) -> RelyingParty | None:
        """Whom passkeys are made for; None where there can be none."""
        settings = self.settings
        if not settings.password_log_in:  # the provider decides who gets in, and nothing else
            return None
        return passkey_ceremonies.relying_party(settings.base_url, settings.secret_key)

    @cached_property
    def sign_in_provider(self) -> Provider | None:
        """The provider for single sign-on, or None."""
        oidc, settings = self.settings.oidc, self.settings
        places = max(1, settings.web_threads // 4)
        return Provider(oidc, settings.base_url + "/login/sso/callback", places) if oidc else None

    def __post_init__(self) -> None:
        self.group_commit = GroupCommit(
            self.databases,
            self.wake_ups,
            limits=self.group_limits,
            counters=self.counters,
            default_rate=self.settings.token_rate,
        )
        self.export_slots = ExportSlots(max(1, self.settings.web_threads // 4))


def attach_services(
    app: Flask,
    settings: Settings,
    engine: Engine,
    *,
    wake_limits: WakeLimits = DEFAULT_WAKE_LIMITS,
    group_limits: GroupLimits = DEFAULT_GROUP_LIMITS,
    search_limits: SearchLimits = search.LIMITS,
) -> None:
    """Give a web application its services, on the prepared engine of its session."""
    app.extensions[_KEY] = WebServices(
        settings=settings,
        cipher=Cipher(settings.encryption_keys),
        wake_ups=WakeUps(settings.redis_url, limits=wake_limits),
        databases=engines.databases_of(engine, after_commit=end_snapshot),
        group_limits=group_limits,
        search_limits=search_limits,
    )


def services(app: Flask | None = None) -> WebServices:
    """Return the services of `app`, or of the application whose context this is."""
    found: WebServices = (app or current_app).extensions[_KEY]
    return found


def end_snapshot() -> None:
    """End what the view's session has read so far, so that it sees what was committed since.

    Called after each commit of the web application; a view that works for long between two reads calls it
    too, as SQLite and PostgreSQL keep old rows for as long as a snapshot is open.
    """
    if has_app_context():
        db.session.commit()  # nothing is ever written through it


def expire_read_rows() -> None:
    """Have rows that the view has read be read again when it uses them, as an action has changed them.

    A commit alone does not, since most views show what they had read (`expire_on_commit` above).
    """
    db.session.expire_all()

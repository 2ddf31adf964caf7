"""The Flask extensions, and what of the application is found through them."""

from flask import current_app
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import Engine

from webhooks_app.core.encryption import Cipher
from webhooks_app.db import engines
from webhooks_app.db.models.base import Base

db = SQLAlchemy(model_class=Base, disable_autonaming=True)
migrate = Migrate()
login = LoginManager()
csrf = CSRFProtect()


def cipher() -> Cipher:
    found: Cipher = current_app.extensions["cipher"]
    return found


def writer() -> Engine:
    """For actions: its transactions may write. `db.session` is for reading."""
    return engines.writing(db.engine)

"""The web's settings, for `gunicorn wsgi:app`, which reads this file by itself."""

from webhooks_app.cli.gunicorn_settings import *  # noqa: F403

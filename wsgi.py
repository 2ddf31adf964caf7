"""The web process: `gunicorn wsgi:app`."""

from webhooks_app.app import create_app_or_exit

app = create_app_or_exit()

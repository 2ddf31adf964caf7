"""The web: `python wsgi.py` serves it, and any WSGI server finds it as `wsgi:app`."""

from webhooks_app.core import interrupts

if __name__ == "__main__":
    interrupts.use_default_sigint()

from webhooks_app.monitoring import tracing

tracing.block_import_unless_enabled()

if __name__ == "__main__":
    from webhooks_app.cli.web import run_web

    run_web()
else:
    from webhooks_app.app import create_app_or_exit

    app = create_app_or_exit()

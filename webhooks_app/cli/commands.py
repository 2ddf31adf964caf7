"""The shell's door: `python -m webhooks_app COMMAND`."""

import json
import os
import re
import secrets
import sys
from pathlib import Path

import click
from flask import Flask
from flask_migrate import upgrade

from webhooks_app import config
from webhooks_app.accounts import api_tokens, members, users, workspaces
from webhooks_app.accounts.audit import Actor
from webhooks_app.app import create_app
from webhooks_app.cli import processes
from webhooks_app.core import clock, logging_setup
from webhooks_app.core.encryption import DecryptionError
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, Role
from webhooks_app.deliveries import retention
from webhooks_app.endpoints import actions, custom_headers, key_rotation, signing_secrets
from webhooks_app.endpoints.actions import EndpointValues
from webhooks_app.extensions import db, services
from webhooks_app.jobs import supervisor
from webhooks_app.jobs.process import clear_errors

SHELL = Actor("shell")
_EXAMPLE = {"type": "batch-lifecycle", "data": {"batch_id": "batch_7Q2M", "status": "succeeded"}}


@click.group()
def main() -> None:
    """Avra webhooks."""


@main.command()
def run() -> None:
    """Run everything on this machine: the whole platform, and a consumer to try it on."""
    with clear_errors():
        os.environ.update(_with_demo_target())
        settings = config.read()
        consumer_port = settings.port + 1
        lock = supervisor.hold_instance(settings)
        supervisor.refuse_taken_port(settings.host, settings.port, "PORT")
        supervisor.refuse_taken_port("127.0.0.1", consumer_port, "PORT")
        app = create_app(settings)
        logging_setup.set_up("WARNING")
        with app.app_context():
            upgrade()
            print("Starting …", flush=True)
            demo = _demo(app, settings.instance / "demo.json", consumer_port)
            db.engine.dispose()
        status = supervisor.supervise(
            settings,
            {"WEBHOOK_SECRETS": demo["secrets"]},
            consumer_port,
            when_ready=lambda: _welcome(settings.base_url, consumer_port, demo),
        )
    lock.close()
    sys.exit(status)


@main.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    with clear_errors():
        app = create_app()
        logging_setup.set_up("WARNING")
        with app.app_context():
            upgrade()


@main.command()
def expire() -> None:
    """Delete what is finished and older than its workspace keeps it; the scheduler does so each hour."""
    with clear_errors():
        app = create_app()
        with app.app_context():
            print(retention.run(services().databases, now=clock.now()))


@main.command("rotate-keys")
def rotate_keys() -> None:
    """Encrypt everything anew with the first of WEBHOOKS_ENCRYPTION_KEYS, so that the others can go."""
    with clear_errors():
        app = create_app()
        with app.app_context():
            try:
                count = key_rotation.reencrypt_all(services().databases, services().cipher)
            except DecryptionError as error:
                raise click.ClickException(
                    f"{error}. Nothing is lost; add the key that it was made under."
                ) from None
            print(f"{count} values encrypted with the first key.")


@main.command()
def scheduler() -> None:
    """Run the rq-scheduler process."""
    processes.run_scheduler()


@main.command("create-workspace")
@click.argument("name")
@click.option("--admin", "email", required=True, help="E-mail address of its first admin.")
@click.password_option(help="The admin's password; asked for when not given.")
def create_workspace(name: str, email: str, password: str) -> None:
    """Create a workspace with an admin, and print an API token for it."""
    with clear_errors():
        app = create_app()
        with app.app_context():
            try:
                print(_set_up_workspace(services().write, name, email, password)[1])
            except users.EmailTaken:
                raise click.ClickException(f"There is a user {email} already.") from None


def _set_up_workspace(database: WriteDatabase, name: str, email: str, password: str) -> tuple[str, str]:
    """The new workspace's id and an API token."""
    user_id = users.add(database, email=email, name=email.partition("@")[0].title(), password=password)
    workspace_id = workspaces.create(database, name, actor=SHELL)
    members.add(database, workspace_id, user_id, Role.ADMIN, actor=SHELL)
    return workspace_id, api_tokens.create(database, workspace_id, "First token", actor=SHELL)


def _with_demo_target() -> dict[str, str]:
    """The environment in which deliveries may also go to the demo consumer, and nowhere else new."""
    port = os.environ.get("PORT") or "8000"
    is_usable = len(port) <= 5 and port.isascii() and port.isdecimal() and int(port) < 65535
    target = f"127.0.0.1:{int(port) + 1}" if is_usable else ""
    allowed = os.environ.get("WEBHOOKS_ALLOWED_TARGETS", "")
    return dict(os.environ) | {
        "WEBHOOKS_ALLOW_HTTP": "1",
        "WEBHOOKS_ALLOWED_TARGETS": ",".join(part for part in (allowed, target) if part),
    }


def _demo(app: Flask, path: Path, consumer_port: int) -> dict[str, str]:
    """The workspace of the first run; made when there is none, read from its file afterwards."""
    url = f"http://127.0.0.1:{consumer_port}/webhooks"
    if workspaces.is_empty(services().read):
        password = secrets.token_urlsafe(12)
        workspace_id, token = _set_up_workspace(services().write, "Acme", "admin@example.com", password)
        values = EndpointValues(name="Demo consumer", url=url, all_events=True, event_types=())
        endpoint_id = actions.create(services().write, services().cipher, workspace_id, values, actor=SHELL)
        facts = {"email": "admin@example.com", "password": password, "token": token, "endpoint": endpoint_id}
        _write_private(path, json.dumps(facts))
    try:
        known: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {"secrets": ""}
    endpoint = db.session.get(Endpoint, known["endpoint"])
    if endpoint is None or endpoint.deleted_at is not None:
        return known | {"secrets": ""}
    _follow_port(app, endpoint, url)
    return known | {
        "secrets": " ".join(
            signing_secrets.reveal(services().write, services().cipher, endpoint, actor=SHELL)
        )
    }


def _follow_port(app: Flask, endpoint: Endpoint, url: str) -> None:
    """Points the demo's endpoint at where its consumer listens this time, unless it was put to other use."""
    if endpoint.url == url or not re.fullmatch(r"http://127\.0\.0\.1:\d+/webhooks", endpoint.url):
        return
    values = EndpointValues(
        name=endpoint.name,
        url=url,
        all_events=endpoint.all_events,
        event_types=endpoint.event_types,
        timeout_ms=endpoint.timeout_ms,
        rate_per_second=endpoint.rate_per_second,
        headers=custom_headers.decrypt(services().cipher, endpoint),
    )
    actions.change(services().write, services().cipher, endpoint, values, actor=SHELL)


def _write_private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _welcome(url: str, consumer_port: int, demo: dict[str, str]) -> None:
    lines = [f"\n  Console   {url}"]
    if "token" in demo:
        lines += [
            f"  Log in    {demo['email']}  {demo['password']}",
            "\n  Send an event, from another terminal:\n",
            f"curl {url}/api/v1/events \\",
            f"  -H 'Authorization: Bearer {demo['token']}' \\",
            "  -H 'Content-Type: application/json' \\",
            f"  -d '{json.dumps(_EXAMPLE)}'",
            "\n  Make the demo consumer fail, and work again:\n",
            f"curl -d 500 http://127.0.0.1:{consumer_port}/mode",
            f"curl -d ok http://127.0.0.1:{consumer_port}/mode",
        ]
    print("\n".join([*lines, "\nReady. Ctrl-C stops everything; nothing is lost.\n"]), flush=True)

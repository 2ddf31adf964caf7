"""What `doctor` tries of this host, and of what is reached from it: addresses, traces, mail, sign-on."""

import errno
import os
import socket
import ssl
from collections.abc import Iterator, Mapping

from webhooks_app.accounts.oidc_provider import Provider
from webhooks_app.accounts.provider_requests import ProviderAway
from webhooks_app.cli.findings import Finding, FindingStatus
from webhooks_app.config import ConfigError, Settings
from webhooks_app.core import mail
from webhooks_app.core.ip_addresses import is_address
from webhooks_app.core.mail import MailError
from webhooks_app.jobs import open_files
from webhooks_app.monitoring import tracing
from webhooks_app.transport.sender_limits import fit_open_files

# RFC 5737: nobody has it, so that a route to it is one to the internet. Nothing is sent.
_SOMEWHERE = ("192.0.2.1", 443)
_COLLECTOR_SECONDS = 5.0


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what each check finds, as it is made."""
    yield _open_files(settings)
    yield from _web(settings)
    yield from _metrics(settings)
    yield from _traces(os.environ)
    yield from _way_out(settings)
    yield from _mail(settings)
    yield from _sign_in(settings)


def _web(settings: Settings) -> Iterator[Finding]:
    if is_address(settings.host) and (why := _why_not_here(settings.host)):
        text_of = f"WEBHOOKS_HOST is {settings.host}, {why}: a web does not start here."
        yield Finding("web", FindingStatus.WARNING, text_of)


def _metrics(settings: Settings) -> Iterator[Finding]:
    if settings.metrics_listen is None:
        return
    host, port = settings.metrics_listen
    if why := _why_not_here(host):
        text_of = f"WEBHOOKS_METRICS_LISTEN is {host}, {why}: a web does not start here."
        yield Finding("metrics", FindingStatus.WARNING, text_of)
        return
    yield Finding("metrics", FindingStatus.OK, f"A web on this host gives them at {host}, port {port}.")


def _why_not_here(host: str) -> str | None:
    """Tell of an address that is none of this host's; a port that is taken may be so by the web that runs."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
    except OSError as error:
        is_elsewhere = error.errno == errno.EADDRNOTAVAIL
        return "no address of this host" if is_elsewhere else f"where nothing can listen ({error.strerror})"
    return None


def _traces(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Tell what nothing else does: a collector that is away fails nobody, and its spans are dropped."""
    try:
        tracing.check(environ)
        collector = tracing.collector(environ)
    except ConfigError as error:
        yield Finding("traces", FindingStatus.FAILED, str(error))
        return
    if collector is None:
        return
    host, port = collector
    try:
        socket.create_connection((host, port), timeout=_COLLECTOR_SECONDS).close()
    except OSError as error:
        text_of = f"No collector answers at {host}, port {port} ({error.strerror or error}): spans are lost."
        yield Finding("traces", FindingStatus.WARNING, text_of)
    else:
        yield Finding("traces", FindingStatus.OK, f"They go to {host}, port {port}.")


def _open_files(settings: Settings) -> Finding:
    try:
        open_files.require()
    except ConfigError as error:
        return Finding("open files", FindingStatus.FAILED, str(error))
    limit = open_files.limit()
    in_flight, _ = fit_open_files(settings.in_flight, limit)
    if in_flight < settings.in_flight:
        text_of = (
            f"The limit is {limit}, so a worker has {in_flight} requests under way, not {settings.in_flight}."
        )
        return Finding("open files", FindingStatus.WARNING, text_of)
    return Finding("open files", FindingStatus.OK, f"The limit is {limit}.")


def _way_out(settings: Settings) -> Iterator[Finding]:
    """Tell from which address deliveries leave, and whether certificates can be checked."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)  # of UDP: it looks for a route and sends nothing
            yield Finding("way out", FindingStatus.OK, f"Deliveries leave from {probe.getsockname()[0]}.")
        except OSError as error:
            text_of = (
                f"There is no route to the internet ({error.strerror}); deliveries reach this network only."
            )
            yield Finding("way out", FindingStatus.WARNING, text_of)
    if settings.ca_bundle is not None:
        try:
            ssl.create_default_context(cafile=settings.ca_bundle)
        except (ssl.SSLError, OSError) as error:
            text_of = f"WEBHOOKS_CA_BUNDLE holds no certificates: {error}"
            yield Finding("way out", FindingStatus.FAILED, text_of)


def _mail(settings: Settings) -> Iterator[Finding]:
    if settings.mail_server is None:
        yield Finding("mail", FindingStatus.OK, "None is sent, as WEBHOOKS_SMTP_URL is not set.")
        return
    try:
        mail.try_log_in(settings.mail_server)
        yield Finding("mail", FindingStatus.OK, f"{settings.mail_server.host} takes mail from here.")
    except MailError as error:
        yield Finding("mail", FindingStatus.FAILED, f"{settings.mail_server.host} takes none: {error}.")


def _sign_in(settings: Settings) -> Iterator[Finding]:
    if settings.oidc is None:
        return
    provider = Provider(settings.oidc, "")
    try:
        provider.metadata()
    except ProviderAway as error:
        yield Finding("sign-on", FindingStatus.FAILED, f"{settings.oidc.issuer} does not serve: {error}.")
    else:
        yield Finding("sign-on", FindingStatus.OK, f"{settings.oidc.issuer} answers as a provider.")

"""The provider by whose accounts people log in: OpenID Connect, code flow with PKCE, state and nonce.

Each request to it has a deadline and a limit of size; what it says of a person is checked in `id_tokens`.
"""

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from webhooks_app.accounts import id_tokens
from webhooks_app.accounts.id_tokens import SignInRefused, UnknownKey
from webhooks_app.accounts.provider_requests import (
    TIMEOUT,
    ProviderAway,
    errors_of_requests,
    fetch_json,
    read_within_limits,
)
from webhooks_app.core.oidc_settings import OidcSettings

# How long what the provider says of itself is believed, and browsers are sent to it: one that is away by then
# is noticed here, and told of by a page of ours. A key that it does not name is looked for at once.
METADATA_SECONDS = 60.0
# For how long it is not asked again once it has failed, and how long somebody waits for others to be done.
AWAY_SECONDS, PLACE_SECONDS = 5.0, 2.0


@dataclass(frozen=True, slots=True)
class Flow:
    """What a browser was sent to the provider with, and has to come back with."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Flow":
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))


@dataclass(frozen=True, slots=True)
class Claims:
    """Who somebody is, as the provider says; `groups` is None where it says nothing of groups."""

    issuer: str
    subject: str
    email: str
    is_email_verified: bool
    name: str
    groups: frozenset[str] | None


@dataclass
class Provider:
    """One provider, with what it has said of itself lately."""

    settings: OidcSettings
    redirect_uri: str
    # How many may wait for its answers at the same time; whoever comes besides waits for a place.
    places: int = 2
    _metadata: dict[str, Any] = field(default_factory=dict)
    _away_until: float = -AWAY_SECONDS
    _read_at: float = -METADATA_SECONDS

    def __post_init__(self) -> None:
        self._places = threading.BoundedSemaphore(self.places)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Have threads left for everything else while it hangs: few wait, and none once one has in vain."""
        if time.monotonic() < self._away_until or not self._places.acquire(timeout=PLACE_SECONDS):
            raise ProviderAway("it did not answer a moment ago")
        try:
            yield
        except ProviderAway:
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise
        finally:
            self._places.release()

    def authorization_url(self, flow: Flow) -> str:
        """Return where to send a browser. Raises ProviderAway."""
        with self._asking(), self._client() as client:
            endpoint = self._endpoint("authorization_endpoint")
            url: str = client.create_authorization_url(
                endpoint, state=flow.state, code_verifier=flow.verifier, nonce=flow.nonce
            )[0]
        return url

    def finish(self, flow: Flow, arguments: Mapping[str, str]) -> Claims:
        """Return who came back, given the arguments of that address. Raises SignInRefused, ProviderAway."""
        if not secrets.compare_digest(arguments.get("state", "").encode(), flow.state.encode()):
            raise SignInRefused("state does not fit")
        if arguments.get("iss", self.settings.issuer) != self.settings.issuer:  # RFC 9207
            raise SignInRefused("it came from another issuer")
        if "error" in arguments:
            raise SignInRefused(f"provider says {arguments['error'][:100]!r}")
        if not arguments.get("code"):
            raise SignInRefused("no code")
        with self._asking():
            self.metadata()  # which says how this client shows that it is one
            return self._finish(flow, arguments["code"])

    def _finish(self, flow: Flow, code: str) -> Claims:
        with self._client() as client:
            token = self._exchange(client, code, flow)
            claims = self._verified(token, flow.nonce)
            return self._claims_of(claims, self._userinfo(client, claims["sub"]))

    def log_out_url(self) -> str:
        """Return where somebody ends their session at the provider, or nothing where it names no such place.

        Asks nobody: what it said lately is enough (OpenID Connect RP-Initiated Logout 1.0, section 2).
        """
        if "end_session_endpoint" not in self._metadata:
            return ""
        try:
            endpoint = self._safe(self._metadata, "end_session_endpoint")
        except ProviderAway:
            return ""
        separator = "&" if "?" in endpoint else "?"
        return f"{endpoint}{separator}{urlencode({'client_id': self.settings.client_id})}"

    def metadata(self) -> Mapping[str, Any]:
        """Return what the provider says of itself (OpenID Connect Discovery 1.0). Raises ProviderAway."""
        if time.monotonic() - self._read_at > METADATA_SECONDS:
            with self._client() as client:
                found = fetch_json(
                    client, self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
                )
                if found.get("issuer") != self.settings.issuer:
                    raise ProviderAway(f"its issuer is {str(found.get('issuer'))[:200]!r}")
                found["keys"] = fetch_json(client, self._safe(found, "jwks_uri"))
            self._metadata, self._read_at = found, time.monotonic()
        return self._metadata

    def _endpoint(self, name: str) -> str:
        return self._safe(self.metadata(), name)

    def _safe(self, metadata: Mapping[str, Any], name: str) -> str:
        """Return one of its addresses, which must be as safe as the issuer's own."""
        url = metadata.get(name)
        is_https = isinstance(url, str) and urlsplit(url).scheme == "https"
        is_as_issuer = isinstance(url, str) and urlsplit(url)[:2] == urlsplit(self.settings.issuer)[:2]
        if not isinstance(url, str) or not (is_https or is_as_issuer):
            raise ProviderAway(f"its {name} cannot be used")
        return url

    def _client(self) -> Any:
        from authlib.integrations.requests_client import OAuth2Session  # where single sign-on is used only

        settings = self.settings
        method = "none" if settings.client_secret is None else "client_secret_basic"
        offered = self._metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if settings.client_secret is not None and method not in offered:
            method = "client_secret_post"
        client = OAuth2Session(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            scope=settings.scopes,
            redirect_uri=self.redirect_uri,
            token_endpoint_auth_method=method,
            code_challenge_method="S256",
        )
        client.trust_env = False  # neither .netrc nor a proxy that deliveries do not take either
        client.verify = settings.ca_bundle or True
        return client

    def _exchange(self, client: Any, code: str, flow: Flow) -> Mapping[str, Any]:
        from authlib.integrations.base_client import OAuthError

        client.hooks["response"].append(read_within_limits)
        try:
            found = client.fetch_token(
                self._endpoint("token_endpoint"),
                code=code,
                code_verifier=flow.verifier,
                timeout=TIMEOUT,
                stream=True,
                allow_redirects=False,
            )
        except OAuthError as error:
            raise SignInRefused(f"the code was refused: {str(error.error)[:100]}") from None
        except errors_of_requests() as error:
            raise ProviderAway(type(error).__name__) from None
        except ValueError:
            raise ProviderAway("its token is no JSON") from None
        return dict(found)

    def _verified(self, token: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """Return the claims of the ID token. Raises SignInRefused."""
        for is_last in (False, True):
            try:
                return id_tokens.verify(token, self.metadata()["keys"], self.settings, nonce)
            except UnknownKey as error:
                if is_last:
                    raise SignInRefused(str(error)) from None
                self._read_at = -METADATA_SECONDS  # it may have new keys
        raise AssertionError("the second try ends either way")

    def _userinfo(self, client: Any, subject: str) -> Mapping[str, Any]:
        """Return what more it says of the same person, where it says more."""
        if "userinfo_endpoint" not in self.metadata():
            return {}
        found = fetch_json(client, self._endpoint("userinfo_endpoint"), sends_token=True)
        if found.get("sub") != subject:
            raise SignInRefused("the answer about the person is about somebody else")
        return found

    def _claims_of(self, claims: Mapping[str, Any], more: Mapping[str, Any]) -> Claims:
        # Address and verification from one and the same source.
        source = claims if "email" in claims else more
        groups = claims.get(self.settings.groups_claim, more.get(self.settings.groups_claim))
        if isinstance(groups, str):
            groups = [groups]
        is_list = isinstance(groups, list)
        verified = self.settings.trusts_email or source.get("email_verified") in (True, "true")
        return Claims(
            issuer=self.settings.issuer,
            subject=claims["sub"],
            email=str(source.get("email") or ""),
            is_email_verified=verified,
            name=str(claims.get("name") or more.get("name") or ""),
            groups=frozenset(map(str, groups)) if is_list else None,
        )

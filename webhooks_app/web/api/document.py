"""The API's document at `/api/v1/openapi.json` and `.yaml`, for whoever asks: it holds no secrets."""

import json
from functools import cache

from flask import Blueprint, Response

import webhooks_app
from webhooks_app.events.catalog import Catalog
from webhooks_app.extensions import services
from webhooks_app.web.api import openapi
from webhooks_app.web.api.all_operations import OPERATIONS
from webhooks_app.web.api.openapi import Json
from webhooks_app.web.api.preconditions import etag_of, with_etag


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/openapi.json")(show_json)
    blueprint.get("/openapi.yaml")(show_yaml)


def show_json() -> Response:
    return _answer(_as_json(_base_url(), services().catalog), "application/json")


def show_yaml() -> Response:
    return _answer(_as_yaml(_base_url(), services().catalog), "application/yaml")  # RFC 9512


def document() -> Json:
    """Return the document of this deployment."""
    return _build(_base_url(), services().catalog)


def _base_url() -> str:
    return services().settings.base_url


@cache
def _build(base_url: str, catalog: Catalog) -> Json:
    server_url = f"{base_url}/api/v1"
    return openapi.build(OPERATIONS, catalog, server_url=server_url, version=webhooks_app.__version__)


@cache
def _as_json(base_url: str, catalog: Catalog) -> bytes:
    return json.dumps(_build(base_url, catalog), ensure_ascii=False, indent=2).encode() + b"\n"


@cache
def _as_yaml(base_url: str, catalog: Catalog) -> bytes:
    import yaml  # here, as it is a mebibyte for what few ask for

    # Read anew, as YAML would write parts that are one object as anchors and aliases.
    unshared = json.loads(_as_json(base_url, catalog))
    return bytes(yaml.safe_dump(unshared, sort_keys=False, allow_unicode=True, width=100), "utf-8")


def _answer(content: bytes, media_type: str) -> Response:
    return with_etag(Response(content, mimetype=media_type), etag_of(content))

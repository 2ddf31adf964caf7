"""Puts the site of the documents into the wheel, where `make docs` has built it."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SiteHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        site = Path(self.root) / "site"
        if version == "standard" and site.is_dir():
            build_data["force_include"][str(site)] = "webhooks_app/site"

"""The site, built once for all that look at it, and the browser of tests/browser."""

from pathlib import Path

import pytest

from tests.browser.conftest import chromium as chromium
from tests.docs_site import site as site_builder


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site_builder.build(tmp_path_factory.mktemp("docs"))

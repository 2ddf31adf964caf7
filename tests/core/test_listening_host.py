"""The web listens where its settings say, whatever a shell calls its host."""

from pathlib import Path

import pytest

from tests.test_config import read


@pytest.mark.parametrize(
    "host",
    ["x86_64-conda-linux-gnu", "aarch64-conda-linux-gnu", "x86_64-apple-darwin13.4.0", "nowhere.invalid"],
)
def test_a_host_that_a_shell_exports_for_something_else_is_ignored_with_a_warning(
    tmp_path: Path, host: str
) -> None:
    settings = read(tmp_path, {"HOST": host})
    assert (settings.host, settings.base_url) == ("127.0.0.1", "http://127.0.0.1:8000")
    [warning] = settings.warnings
    assert host in warning
    assert "WEBHOOKS_HOST" in warning
    assert read(tmp_path, {"HOST": host, "WEBHOOKS_HOST": "::1"}).warnings == ()


def test_a_setting_of_our_own_wins_over_the_shells_host(tmp_path: Path) -> None:
    assert read(tmp_path, {"HOST": "0.0.0.0", "WEBHOOKS_HOST": "127.0.0.1"}).host == "127.0.0.1"

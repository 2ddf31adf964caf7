"""Which databases are a file, and where that is."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from webhooks_app.db import database_file, database_url


@pytest.mark.parametrize("name", ["plain", "a?b", "a%3Fb", "100 % a", "ü#&="])
def test_the_file_of_a_url_is_the_one_that_it_was_made_of(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "hooks.db"
    assert database_file.path(database_url.of_file(file)) == file
    assert database_file.path(make_url(database_url.of_file(file))) == file


@pytest.mark.parametrize("url", ["postgresql+psycopg://me:hunter2@db.internal/hooks", "sqlite://"])
def test_a_server_and_memory_are_no_file(url: str) -> None:
    assert database_file.path(url) is None

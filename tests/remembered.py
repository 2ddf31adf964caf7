"""What each application of a test process would compile anew: templates, statements, what builds its URLs.

Each test has an application of its own; 100 URLs take it 35 ms, all templates 400 ms, statements 20 a page.
"""

from collections.abc import Callable
from types import CodeType
from typing import Any

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from werkzeug.routing import Rule

_templates: dict[tuple[str, str, bool], CodeType] = {}
_builders: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}
_statements: dict[Any, Any] = {}


def _key(bucket: Bucket) -> tuple[str, str, bool]:
    # The documents render the console's snippets with an environment of their own, which trims nothing.
    return bucket.key, bucket.checksum, bucket.environment.trim_blocks


class RememberedTemplates(BytecodeCache):
    """The code of each template, by its file, the checksum of what stands in it and whether it is trimmed."""

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = _templates.get(_key(bucket))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code
        _templates[_key(bucket)] = bucket.code


class RememberedRule(Rule):
    """A rule that builds its URLs by the function of an earlier one of the same text and defaults."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        # It finds the converters in the rule that it is bound to, so that it can serve another.
        key = (self.rule, self.subdomain, repr(self.defaults), self.merge_slashes, append_unknown)
        if key not in _builders:
            _builders[key] = super()._compile_builder(append_unknown)
        return _builders[key]


class _OneOfItsKind:
    """A dialect that counts as the same as that of another engine, whose compiled statements it runs.

    All tests have one version of each database, which is what a dialect learns from its first connection.
    """

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=_statements)


class RememberingSqlite(_OneOfItsKind, SQLiteDialect_pysqlite):
    supports_statement_cache = True


class RememberingPostgresql(_OneOfItsKind, PGDialect_psycopg):
    supports_statement_cache = True


def remember() -> None:
    """Have all applications that this process makes from now on share these."""
    options: dict[str, Any] = {**Flask.jinja_options, "bytecode_cache": RememberedTemplates()}
    Flask.jinja_options, Flask.url_rule_class = options, RememberedRule
    registry.register("sqlite", __name__, RememberingSqlite.__name__)
    registry.register("postgresql.psycopg", __name__, RememberingPostgresql.__name__)

"""What each application of a test process would compile anew: templates, statements, the rules of its URLs.

Each test has an application of its own; 140 URLs take it 10 ms, all templates 400 ms, statements 20 a page.
"""

from collections.abc import Callable
from types import CodeType
from typing import Any

import pytest
from flask import Flask
from flask_wtf import CSRFProtect
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from werkzeug.routing import Map, Rule
from werkzeug.routing.matcher import State

from webhooks_app.web import blueprints

_templates: dict[tuple[str, str, bool], CodeType] = {}
_builders: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}
_statements: dict[Any, Any] = {}
# What Flask keeps by area, beside views and the handlers of errors.
_FUNCTIONS = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "url_default_functions",
    "url_value_preprocessors",
    "template_context_processors",
)


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


class RememberedRoutes:
    """Registers the blueprints with an application as they were with a bare one: no setting changes them."""

    def __init__(self, register: Callable[[Flask, CSRFProtect], None]) -> None:
        self.register = register
        self._first: Flask | None = None

    def __call__(self, app: Flask, csrf: CSRFProtect) -> None:
        if self._first is None:
            self._first = Flask("webhooks_app", static_folder=None)
            self.register(self._first, csrf)
        first = self._first
        app.blueprints.update(first.blueprints)
        app.view_functions.update(first.view_functions)
        for area, handlers in first.error_handler_spec.items():
            for code, by_class in handlers.items():
                app.error_handler_spec[area][code].update(by_class)
        for name in _FUNCTIONS:
            for area, functions in getattr(first, name).items():
                getattr(app, name)[area].extend(functions)
        _take_rules(app.url_map, first.url_map)


def _take_rules(own: Map, first: Map) -> None:
    """Add the rules of the other map, compiled as they are, so that one that is added here is here alone."""
    rules = list(own.iter_rules())
    own.merge_slashes = first.merge_slashes
    own.converters.update(first.converters)
    own._matcher._root = _copy(first._matcher._root)
    for rule in rules:
        own._matcher.add(rule)
    own._rules_by_endpoint.update({name: [*found] for name, found in first._rules_by_endpoint.items()})
    own._remap = True


def _copy(state: State) -> State:
    return State(
        dynamic=[(part, _copy(following)) for part, following in state.dynamic],
        rules=[*state.rules],
        static={part: _copy(following) for part, following in state.static.items()},
    )


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


def remember(patch: pytest.MonkeyPatch) -> None:
    """Have all applications that this process makes from now on share these, until the patch is undone."""
    patch.setattr(Flask, "jinja_options", {**Flask.jinja_options, "bytecode_cache": RememberedTemplates()})
    patch.setattr(Flask, "url_rule_class", RememberedRule)
    patch.setattr(blueprints, "register", RememberedRoutes(blueprints.register))
    registry.register("sqlite", __name__, RememberingSqlite.__name__)
    registry.register("postgresql.psycopg", __name__, RememberingPostgresql.__name__)

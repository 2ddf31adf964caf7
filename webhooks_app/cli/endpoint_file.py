"""The file of endpoints that `avra apply` reads: checked as far as that needs no platform."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from webhooks_app.cli import yaml_nodes
from webhooks_app.cli.yaml_nodes import MappingReader, Problems
from webhooks_app.core.text_display import MASK
from webhooks_app.core.url_masking import mask_url

VERSION = 1
TOP_KEYS = ("version", "managed_by", "endpoints")
ENDPOINT_KEYS = (
    *("url", "all_events", "event_types", "timeout_seconds"),
    *("rate_per_second", "headers", "disabled", "renamed_from"),
)
# Compose's rule: `$$` is a dollar sign, and one alone is, too.
_REFERENCE = re.compile(r"\$\$|\$\{([^}]*)\}?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass
class Declared:
    """An endpoint as the file has it: what the API takes, and where each of its fields stands in the file.

    `renamed_from` are names that it had before.
    """

    name: str
    settings: dict[str, Any]
    mark: yaml.Mark
    marks: dict[str, yaml.Mark] = field(default_factory=dict)
    renamed_from: tuple[str, ...] = ()

    def place(self, path: str | None) -> yaml.Mark:
        """Return where a field stands that the API names, such as `headers[0].value`."""
        while path:
            if path in self.marks:
                return self.marks[path]
            path = re.sub(r"(^|\.)[^.\[]+$|\[[0-9]+\]$", "", path)
        return self.mark


@dataclass(frozen=True)
class EndpointFile:
    """The endpoints of a file, by their names, and the name under which it manages them."""

    managed_by: str
    endpoints: Mapping[str, Declared]


def read(raw: bytes, name: str, env: Mapping[str, str], problems: Problems) -> EndpointFile | None:
    """Return what the file says; None, and reported, where something is wrong.

    `name` is what it manages under unless it says so itself; `env` is what `${NAME}` stands for.
    """
    node = yaml_nodes.compose(raw, problems)
    if node is None:
        return None
    top = MappingReader(node, "", problems)
    top.refuse_unknown(TOP_KEYS)
    if top.whole_number("version") != VERSION:
        top.report(f"version must be {VERSION}", top.mark("version"))
    entries = top.mapping("endpoints", "endpoints")
    if not top.has("endpoints"):
        top.report('"endpoints" is missing; without any, write endpoints: {}')
    declared = [_declared(key, value, env, problems) for key, value in (entries.items() if entries else ())]
    managed_by = (top.text("managed_by") or name).strip()
    if not managed_by:
        top.report("managed_by must be a name", top.mark("managed_by"))
    return None if problems.found else EndpointFile(managed_by, {each.name: each for each in declared})


def _declared(key: str, node: yaml.Node, env: Mapping[str, str], problems: Problems) -> Declared:
    reader = MappingReader(node, f'endpoint "{key}"', problems)
    reader.refuse_unknown(ENDPOINT_KEYS)
    if key != key.strip():
        reader.report("the name begins or ends with a space")
    if key in (".", ".."):  # whoever sends it takes it out of the address (RFC 3986, section 6.2.2.3)
        reader.report("a name cannot be of dots alone")
    declared = Declared(key, {}, node.start_mark, dict(yaml_nodes.marks_of(reader)))
    settings = declared.settings
    settings["url"] = _filled_in(reader, "url", reader.text("url") or "", env)
    if not settings["url"]:
        reader.report("url is missing", reader.mark("url"))
    settings["all_events"] = reader.truth("all_events") or False
    types = reader.texts("event_types")
    settings["event_types"] = [text for text, _ in types]
    declared.marks |= {f"event_types[{at}]": mark for at, (_, mark) in enumerate(types)}
    for number in ("timeout_seconds", "rate_per_second"):
        settings[number] = reader.whole_number(number)
    if (is_disabled := reader.truth("disabled")) is not None:
        settings["disabled"] = is_disabled
    settings["headers"] = _headers(reader, declared, env)
    declared.renamed_from = _names_before(reader)
    return declared


def _names_before(reader: MappingReader) -> tuple[str, ...]:
    """Return the names; reported where one can be none: its endpoint would be a new one."""
    names = reader.one_or_more_texts("renamed_from")
    mark = reader.mark("renamed_from")
    if reader.has_null("renamed_from"):
        reader.report("renamed_from is without a name; take it out, or write the name in quotes", mark)
    elif any(name != name.strip() or not name for name in names):
        reader.report("renamed_from: a name is empty, or begins or ends with a space", mark)
    return tuple(dict.fromkeys(names))


def _headers(reader: MappingReader, declared: Declared, env: Mapping[str, str]) -> list[dict[str, Any]]:
    headers = reader.mapping("headers", f"{reader.where}, headers")
    found: list[dict[str, Any]] = []
    for name, node in headers.items() if headers else ():
        assert headers is not None
        value = headers.text(name)
        # Without a value, the one that is stored stays.
        if value is not None and value != MASK:
            value = _filled_in(headers, name, value, env)
        declared.marks[f"headers[{len(found)}]"] = node.start_mark
        found.append({"name": name, "value": None if value == MASK else value})
    return found


def _filled_in(reader: MappingReader, key: str, text: str, env: Mapping[str, str]) -> str:
    """Return the text with the environment's values for `${NAME}`; what is not set is reported."""

    def fill(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name = found[1]
        if not _VARIABLE.fullmatch(name) or not found[0].endswith("}"):
            reader.report(f"{key}: ${{NAME}} needs the name of a variable; $$ is a dollar sign", mark)
        elif not env.get(name):
            reader.report(f"{key}: the environment has no {name}", mark)
        return env.get(name, "")

    mark = reader.mark(key)
    return _REFERENCE.sub(fill, text)


def fill_in_url(declared: Declared, stored: str | None, problems: Problems) -> None:
    """Put the stored URL where the file has it masked, as an export does; reported where they differ."""
    url = declared.settings["url"]
    if MASK not in url:
        return
    if stored is not None and mask_url(stored) == url:
        declared.settings["url"] = stored
    else:
        message = "the masked URL is not that of the endpoint; write it out, or use ${NAME}"
        problems.report(f'endpoint "{declared.name}": {message}', declared.place("url"))

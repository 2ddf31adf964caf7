"""Endpoints that a file has under another name than before: which of the stored ones they are.

As `moved` of Terraform: what has been renamed by now, here or on another platform, may stay in the file.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webhooks_app.cli.endpoint_file import Declared, EndpointFile
from webhooks_app.cli.yaml_nodes import Problems

Endpoint = Mapping[str, Any]


@dataclass(frozen=True)
class Renames:
    """The stored endpoints that are to get other names, by these, each name behind the one that frees it."""

    sources: Mapping[str, Endpoint]

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(each["id"] for each in self.sources.values())

    def before(self, name: str) -> str | None:
        """Return the name that the endpoint has so far, None where it keeps it."""
        return self.sources[name]["name"] if name in self.sources else None


def resolve(file: EndpointFile, stored: Sequence[Endpoint], problems: Problems) -> Renames:
    """Return what is to be renamed, with what cannot be told in `problems`."""
    by_name = {each["name"]: each for each in stored}
    counts = Counter(each["name"] for each in stored)
    sources: dict[str, Endpoint] = {}
    for declared in _holders_first(file):
        former = _former(declared, by_name, sources, file, problems)
        if former is None:
            continue
        if counts[former] > 1:
            _report(declared, f'several endpoints are named "{former}"; rename all but one', problems)
        sources[declared.name] = by_name[former]
    for name, source in sources.items():
        if source["name"] in file.endpoints.keys() - sources.keys():
            message = f'"{source["name"]}" is an endpoint of the file, too'
            _report(file.endpoints[name], f"{message}; apply the new name first, then add it", problems)
    return Renames(sources)


def _former(
    declared: Declared,
    by_name: Mapping[str, Endpoint],
    sources: Mapping[str, Endpoint],
    file: EndpointFile,
    problems: Problems,
) -> str | None:
    """Return the name under which the endpoint is stored; None where it is not to be renamed."""
    moved = {each["name"] for each in sources.values()}
    there = [name for name in declared.renamed_from if name in by_name and name not in moved]
    if not there:
        return None
    if declared.name in by_name and declared.name not in moved:
        # It has been renamed; a name of before belongs to another endpoint of the file since.
        others = [name for name in there if name not in file.endpoints]
        if others:
            message = f'"{declared.name}" and "{others[0]}" both exist'
            _report(declared, f"{message}; delete or rename one, or take renamed_from out", problems)
        return None
    if len(there) > 1:
        names = ", ".join(f'"{name}"' for name in there)
        _report(declared, f"{names} all exist; name the one that is meant", problems)
        return None
    return there[0]


def _holders_first(file: EndpointFile) -> Iterable[Declared]:
    """Return what is renamed, each behind the one that takes the place of its own name's holder."""
    successors = {name: each for each in file.endpoints.values() for name in each.renamed_from}
    ordered: dict[str, Declared] = {}
    for declared in file.endpoints.values():
        chain = [declared] if declared.renamed_from else []
        while chain and (after := successors.get(chain[-1].name)) and after not in chain:
            chain.append(after)
        ordered |= {each.name: each for each in reversed(chain) if each.name not in ordered}
    return ordered.values()


def check(declared: Iterable[Declared], problems: Problems) -> None:
    """Report names of before that the file alone shows to be wrong: its own, one of two, or a circle."""
    by_name = {each.name: each for each in declared}
    claimed: dict[str, str] = {}
    for each in by_name.values():
        for name in each.renamed_from:
            if name == each.name:
                _report(each, "it has that name", problems)
            elif name in claimed:
                _report(each, f'"{claimed[name]}" was renamed from "{name}", too', problems)
            claimed[name] = each.name
    for each in by_name.values():
        if _is_circular(each, by_name):
            _report(
                each, "the names go round in a circle; rename by way of another name, in two steps", problems
            )
            return


def _is_circular(start: Declared, by_name: Mapping[str, Declared]) -> bool:
    seen: set[str] = set()
    left = [start]
    while left:
        for name in left.pop().renamed_from:
            if name == start.name and start.name not in by_name[start.name].renamed_from:
                return True
            if name in by_name and name not in seen:
                seen.add(name)
                left.append(by_name[name])
    return False


def _report(declared: Declared, message: str, problems: Problems) -> None:
    problems.report(f'endpoint "{declared.name}": renamed_from: {message}', declared.place("renamed_from"))

"""Where in its module each node stands, and whose default it is. Pure."""

import ast
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Place:
    """What is around a node, as `Mutant` has it."""

    statement_line: int = 0
    function: str = "module"
    is_in_body: bool = False
    position: int = 0


def note(tree: ast.Module) -> None:
    """Note at each node what is around it."""
    for position, statement in enumerate(tree.body):
        _set_place(statement, Place(position=position))


def of(node: ast.AST) -> Place:
    """Return what was noted of the node, which may have been copied meanwhile."""
    place: Place = getattr(node, "place", Place())
    return place


def named_defaults(tree: ast.Module) -> dict[int, str]:
    """Return the arguments' names by the ids of the nodes that they default to."""
    return {
        id(default): argument.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.arguments)
        for default, argument in _with_defaults(node)
        if default is not None
    }


def _with_defaults(node: ast.arguments) -> list[tuple[ast.expr | None, ast.arg]]:
    positional = [*node.posonlyargs, *node.args]
    defaulting = positional[len(positional) - len(node.defaults) :]
    return [
        *zip(node.defaults, defaulting, strict=True),
        *zip(node.kw_defaults, node.kwonlyargs, strict=True),
    ]


def _set_place(node: ast.AST, around: Place) -> None:
    place = around
    if isinstance(node, ast.stmt):
        place = replace(place, statement_line=node.lineno)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        name = node.name if place.function == "module" else f"{place.function}.{node.name}"
        place = replace(place, function=name)
    node.place = place  # type: ignore[attr-defined]
    body = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
    for child in ast.iter_child_nodes(node):
        _set_place(child, replace(place, is_in_body=place.is_in_body or child in body))

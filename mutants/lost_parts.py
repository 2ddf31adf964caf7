"""Changes that lose a part of an expression, or turn a condition round, as a slip of the hand would. Pure."""

import ast
from collections.abc import Iterator, Sequence
from typing import Any

# Each of their arguments is a condition of its own.
_CONDITIONS = frozenset({"where", "and_", "or_", "filter"})
# A row of thirty columns would fill the screen, and the part tells the changes apart.
_SHOWN = 80


def negations(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield an `if`, a `while` or a comprehension with its condition negated, where that is a plain one.

    A comparison, `and`, `or` and `not` have changes of their own.
    """
    match node:
        case ast.If(test=test) | ast.While(test=test) if _is_plain(test):
            yield f"not {ast.unparse(test)}", _with(node, test=_negated(test))
        case ast.comprehension(ifs=ifs):
            for at, each in enumerate(ifs):
                if _is_plain(each):
                    changed = [*ifs[:at], _negated(each), *ifs[at + 1 :]]
                    yield f"not {ast.unparse(each)} in a comprehension", _with(node, ifs=changed)


def losses(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield the node without one operand of `and` or `or`, one condition of a query, or one element.

    Of lists and tuples, those that are handed to a function or returned.
    """
    match node:
        case ast.BoolOp(values=values):
            for lost, rest in _without_each(values):
                yield _lost(lost, node), rest[0] if len(rest) == 1 else _with(node, values=rest)
        case ast.Call(args=arguments):
            if len(arguments) > 1 and _is_of_conditions(node):
                for lost, rest in _without_each(arguments):
                    yield _lost(lost, node), _with(node, args=rest)
            for at, argument in enumerate(arguments):
                for text, changed in _shorter(argument):
                    yield text, _with(node, args=[*arguments[:at], changed, *arguments[at + 1 :]])
        case ast.keyword(value=value) | ast.Return(value=ast.expr() as value):
            for text, changed in _shorter(value):
                yield text, _with(node, value=changed)


def _shorter(literal: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield a list or tuple of several elements without each of them."""
    if isinstance(literal, ast.List | ast.Tuple) and len(literal.elts) > 1:
        for lost, rest in _without_each(literal.elts):
            yield _lost(lost, literal), _with(literal, elts=rest)


def _without_each(parts: Sequence[ast.expr]) -> Iterator[tuple[ast.expr, list[ast.expr]]]:
    for at, part in enumerate(parts):
        yield part, [*parts[:at], *parts[at + 1 :]]


def _lost(part: ast.expr, whole: ast.AST) -> str:
    return f"{ast.unparse(part)} lost in {ast.unparse(whole)[:_SHOWN]}"


def _is_of_conditions(call: ast.Call) -> bool:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr in _CONDITIONS
    # Python's own `filter` has no conditions.
    return isinstance(function, ast.Name) and function.id in _CONDITIONS - {"filter"}


def _is_plain(test: ast.expr) -> bool:
    if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
        return False
    return isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.Subscript | ast.NamedExpr)


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(op=ast.Not(), operand=test)


def _with(node: Any, **changed: Any) -> Any:
    """Return a node of the same kind with other fields."""
    fields: dict[str, Any] = dict(ast.iter_fields(node))
    return type(node)(**(fields | changed))

"""The small changes that are made to a module, each on its own. Pure."""

import ast
import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mutants import lost_parts, places

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|WHERE|SET|AND|NULL)\b")
# What a slip in a statement looks like: a condition or an assignment lost, a bound moved, a row more or less.
_SQL_CHANGES = (
    (re.compile(r"\s+AND\s+[\w.]+\s*(?:<=|>=|<>|=|<|>|IS NOT|IS)\s*(?:'\w+'|[:\w.{}]+)"), ""),
    (re.compile(r",\s*\w+ = [\w.:{}]+(?: [+-] \d+)?(?=,|\s*\n|\s+WHERE|$)"), ""),
    (re.compile(r"(?<=[^<])<=(?=[^>])"), "<"),
    (re.compile(r">="), ">"),
    (re.compile(r"(?<= )\+ 1\b"), "+ 2"),
    (re.compile(r"= 0\b"), "= 1"),
    (re.compile(r"\bNULL\b(?= *THEN| *ELSE|,)"), "0"),
    (re.compile(r"\bcoalesce\((\w+\.)?(\w+), (\w+\.)?(\w+)\)"), r"coalesce(\3\4, \1\2)"),
    (re.compile(r" FOR UPDATE(?: SKIP LOCKED)?"), ""),
    (re.compile(r"\bgreatest\b|\{greatest\}"), "coalesce"),
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: where it is, what it does, and the module's whole text with it.

    line: of the changed expression; `statement_line` of the statement around it.
    function: in which it stands, with its class; `is_in_body` unless it is one of that function's defaults.
    position: of the statement at the top of the module that holds it.
    """

    line: int
    statement_line: int
    function: str
    is_in_body: bool
    position: int
    description: str
    source: str

    @property
    def key(self) -> str:
        """Name it independently of line numbers, so that a reason for a survivor keeps."""
        return f"{self.function}: {self.description}"


def mutate(source: str) -> list[Mutant]:
    """Return every mutant of a module; docstrings, types and log calls are left alone."""
    tree = ast.parse(source)
    places.note(tree)
    skipped = {id(node) for node in _not_worth_mutating(tree)}
    defaults = places.named_defaults(tree)
    # To write the whole module anew for each would take half a minute for one of 800 lines.
    texts = [ast.unparse(statement) for statement in tree.body]
    found: dict[str, Mutant] = {}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        for change, replacement in _changes(node):
            # What several defaults of one function have alike, their names tell apart.
            description = f"{defaults[id(node)]}={change}" if id(node) in defaults else change
            mutant = _mutant(tree, texts, node, description, replacement)
            found.setdefault(mutant.source, mutant)
    return list(found.values())


def _mutant(tree: ast.Module, texts: Sequence[str], node: ast.AST, what: str, replacement: ast.AST) -> Mutant:
    place = places.of(node)
    # With the replacement in its memo, `deepcopy` takes it for the copy of the node already made.
    changed = copy.deepcopy(tree.body[place.position], {id(node): replacement})
    before, after = texts[: place.position], texts[place.position + 1 :]
    return Mutant(
        getattr(node, "lineno", 0),
        place.statement_line,
        place.function,
        place.is_in_body,
        place.position,
        description=what,
        source="\n".join([*before, ast.unparse(ast.fix_missing_locations(changed)), *after]),
    )


def _not_worth_mutating(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            yield from ast.walk(node.body[0])
        if isinstance(node, ast.FunctionDef):
            for part in (node.returns, *(each.annotation for each in node.args.args + node.args.kwonlyargs)):
                if part is not None:
                    yield from ast.walk(part)
        if isinstance(node, ast.AnnAssign):
            yield from ast.walk(node.annotation)
        if isinstance(node, ast.Call) and _is_log_call(node):
            yield from ast.walk(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ast.walk(node)
        if isinstance(node, ast.Raise):  # what it says; that it is raised at all does matter
            yield from (each for each in ast.walk(node) if each is not node)
        if isinstance(node, ast.JoinedStr):
            yield from (each for each in ast.walk(node) if not _is_sql(each))
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            for decorator in node.decorator_list:
                yield from ast.walk(decorator)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "field":
            yield from ast.walk(node)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and _is_a_given_number(node.value):
            yield from ast.walk(node)  # how large a limit is, is a decision and not a slip
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _is_log_call(node.value):
            yield node


def _is_sql(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(_SQL.search(node.value))


def _is_a_given_number(value: ast.expr) -> bool:
    """Return whether it is a number, computed like `24 * 3600` or `LIMIT + 1`, or a timedelta of such."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "timedelta":
        return all(_is_a_given_number(each.value) for each in value.keywords)
    if isinstance(value, ast.BinOp):
        return _is_a_given_number(value.left) and _is_a_given_number(value.right)
    is_a_constant = isinstance(value, ast.Name) and value.id.isupper()
    return is_a_constant or (isinstance(value, ast.Constant) and type(value.value) in (int, float))


def _is_log_call(call: ast.Call) -> bool:
    function = call.func
    owner = function.value if isinstance(function, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in ("log", "logger", "failpoints")


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    yield from lost_parts.negations(node)
    yield from lost_parts.losses(node)
    match node:
        case ast.Compare(ops=[operator], left=left, comparators=[right]):
            if type(operator) in _COMPARISONS:
                new = _COMPARISONS[type(operator)]
                text = f"{type(operator).__name__} -> {new.__name__} in {ast.unparse(node)}"
                yield text, ast.Compare(left=left, ops=[new()], comparators=[right])
        case ast.BoolOp(op=operator, values=values):
            new_op: ast.boolop = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield f"and <-> or in {ast.unparse(node)}", ast.BoolOp(op=new_op, values=values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"not dropped in {ast.unparse(node)}", operand
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _ARITHMETIC:
            if not _is_type_union(node):
                new_operator = _ARITHMETIC[type(operator)]
                text = f"{type(operator).__name__} -> {new_operator.__name__} in {ast.unparse(node)}"
                yield text, ast.BinOp(left=left, op=new_operator(), right=right)
        case ast.Constant():
            yield from _constant_changes(node)
        case ast.keyword(
            arg=str(name), value=ast.Constant(value=bool(value))
        ):  # which of several, in the key
            changed = ast.keyword(arg=name, value=ast.Constant(not value))
            yield f"{name}={value} -> {not value}", changed
        case ast.Return(value=value) if value is not None and not _is_as_good_as_none(value):
            yield f"return None instead of {ast.unparse(value)}", ast.Return(value=ast.Constant(None))
        case ast.Expr(value=ast.Call() as call):
            yield f"dropped {ast.unparse(call)}", ast.Pass()
        case ast.Raise():
            yield f"dropped {ast.unparse(node)}", ast.Pass()
        case ast.AugAssign(target=target, op=operator, value=value) if type(operator) in _ARITHMETIC:
            text = f"{type(operator).__name__} -> = in {ast.unparse(node)}"
            yield text, ast.Assign(targets=[target], value=value)
        case ast.IfExp(body=body, orelse=orelse):
            yield f"always {ast.unparse(body)}", body
            yield f"always {ast.unparse(orelse)}", orelse


def _constant_changes(node: ast.Constant) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        yield f"{value} -> {not value}", ast.Constant(not value)
    elif isinstance(value, int | float):
        yield f"{value} -> {value + 1}", ast.Constant(value + 1)
    elif isinstance(value, str) and _SQL.search(value):
        for pattern, replacement in _SQL_CHANGES:
            for match in pattern.finditer(value):
                changed = value[: match.start()] + match.expand(replacement) + value[match.end() :]
                words = " ".join(match[0].split())
                yield f"SQL {words!r} -> {match.expand(replacement).strip()!r}", ast.Constant(changed)
    elif isinstance(value, str) and value.strip():
        yield f"{value[:40]!r} changed", ast.Constant(f"XX{value}")


def _is_type_union(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return isinstance(node.op, ast.BitOr) and any(
        isinstance(side, ast.Name) and (side.id[:1].isupper() or side.id in ("str", "int", "bytes"))
        for side in sides
    )


def _is_as_good_as_none(value: ast.expr) -> bool:
    # Where False or an empty text is returned, None differs in type alone, and mypy refuses it.
    return isinstance(value, ast.Constant) and value.value in (None, False, "")

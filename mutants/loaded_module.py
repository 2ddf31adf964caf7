"""Puts a mutant into a module that is loaded already, so that nothing has to be imported anew."""

import ast
import gc
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from mutants.operators import Mutant


class LoadedModule:
    """A module with its functions, whoever else has imported them or wrapped them."""

    def __init__(self, name: str, path: Path) -> None:
        self._module, self._path = sys.modules[name], path
        self._functions: dict[str, list[FunctionType]] = defaultdict(list)
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename == str(path):
                self._functions[each.__code__.co_qualname].append(each)

    def change(self, mutant: Mutant) -> bool:
        """Put the mutant in place; False where only a fresh import would: in what makes a class."""
        tree = ast.parse(mutant.source)
        if mutant.is_in_body:
            return self._change_code(tree, mutant.function)
        statement = tree.body[mutant.position]
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
            self._assign_again(tree, tree.body[mutant.position :])
            return True
        return self._change_defaults(statement, mutant.function)

    def _change_code(self, tree: ast.Module, function: str) -> bool:
        outermost = next((name for name in _prefixes(function) if name in self._functions), "")
        codes = [
            code for code in _codes(compile(tree, str(self._path), "exec")) if code.co_qualname == outermost
        ]
        if len(codes) != 1:  # none, or a property's getter beside its setter
            return False
        for each in self._functions[outermost]:
            each.__code__ = codes[0]
        return True

    def _change_defaults(self, statement: ast.stmt, function: str) -> bool:
        definition = _definition(statement, function.split("."))
        if definition is None or definition.decorator_list or function not in self._functions:
            return False
        namespace = dict(vars(self._module))
        exec(compile(ast.Module([definition], []), str(self._path), "exec"), namespace)
        for each in self._functions[function]:
            each.__defaults__ = namespace[definition.name].__defaults__
            each.__kwdefaults__ = namespace[definition.name].__kwdefaults__
        return True

    def _assign_again(self, tree: ast.Module, statements: list[ast.stmt]) -> None:
        """Run the first of the statements, and those after it that use what it and they assign."""
        changed: set[str] = set()
        for statement in statements:
            if not isinstance(statement, ast.Assign | ast.AnnAssign):
                continue
            if changed and not _with_users(tree, changed) & set(_names(statement, ast.Load)):
                continue
            names = set(_names(statement, ast.Store))
            before = {name: vars(self._module).get(name) for name in names}
            exec(compile(ast.Module([statement], []), str(self._path), "exec"), vars(self._module))
            for name in names:
                _rebind(self._module, name, before[name])
            changed |= names


def _with_users(tree: ast.Module, names: set[str]) -> set[str]:
    """Return the names with those of the functions that use one of them, or one another."""
    functions = {
        each.name: set(_names(each, ast.Load)) for each in tree.body if isinstance(each, ast.FunctionDef)
    }
    found = set(names)
    while more := {name for name, used in functions.items() if used & found} - found:
        found |= more
    return found


def _rebind(module: ModuleType, name: str, before: object) -> None:
    """Give the modules that have imported the name its new value, and their functions that default to it."""
    for other in list(sys.modules.values()):
        if other is not module and name in vars(other) and vars(other)[name] is before:
            setattr(other, name, getattr(module, name))
            for function in list(vars(other).values()):
                if isinstance(function, FunctionType) and function.__kwdefaults__:
                    _default_anew(function, before, getattr(module, name))


def _default_anew(function: FunctionType, before: object, after: object) -> None:
    defaults = function.__kwdefaults__ or {}
    function.__kwdefaults__ = {name: after if value is before else value for name, value in defaults.items()}


def _names(statement: ast.stmt, context: type[ast.expr_context]) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, context):
            yield node.id


def _codes(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)


def _prefixes(function: str) -> Iterator[str]:
    """Yield `A`, `A.b`, `A.b.c` of `A.b.c`, the outermost first."""
    parts = function.split(".")
    yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


def _definition(statement: ast.stmt, names: list[str]) -> ast.FunctionDef | None:
    """Return the function of that name, or the method of those of a class and its own."""
    if isinstance(statement, ast.FunctionDef):
        return statement if len(names) == 1 else None
    if isinstance(statement, ast.ClassDef) and len(names) == 2:
        named = (
            each for each in statement.body if isinstance(each, ast.FunctionDef) and each.name == names[1]
        )
        return next(named, None)
    return None

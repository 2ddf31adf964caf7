"""The docstring of a public function or method opens with a verb (CONTRIBUTING, Code)."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Properties read as the attributes that they stand for, and so may open with a noun.
NO_VERBS = frozenset("A All An As Each How If It JSON No One That The This What Where Whether Who".split())


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    scopes: list[ast.Module | ast.ClassDef] = [tree]
    scopes += [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for scope in scopes:
        for node in scope.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not is_property(node):
                yield node


def is_property(function: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(each) for each in function.decorator_list)


def test_the_docstring_of_a_public_function_opens_with_a_verb() -> None:
    others = [
        f"{path.relative_to(ROOT)}:{function.lineno}: {docstring.splitlines()[0]}"
        for folder in ("webhooks_app", "clients/python")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for function in public_functions(ast.parse(path.read_text()))
        if (docstring := ast.get_docstring(function)) and docstring.split()[0] in NO_VERBS
    ]
    assert others == []

"""What a module of the package declares, asked without what the module computes with.

A plan asks a method for its label and its family, lets it check its settings, and asks a family of
models what its training sees. Their files begin by importing torch, which costs more than all else
of a plan; and each job of a workflow plans it again. So of such a file only those statements are
run that the asked name stands on: constants, settings, and of a class its attributes and the
functions that check settings (``CHECKS``). These are the file's own statements: nothing is declared
twice, and a method's file is written as any other. What cannot be told in this way is imported.
"""

import ast
import builtins
import copy
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
CHECKS = ("__init__", "__post_init__", "configure")
"""Functions of a class that are run; the others raise :class:`Undeclared`."""

PLAIN = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
"""Statements that bind a name once and for all."""

LIGHT = sys.stdlib_module_names | {"yaml", "jsonschema"}
"""What may be imported: Snakemake has imported the two by then."""


class Undeclared(Exception):
    """A name that cannot be told without running its whole module."""


class Declared:
    """A module, as far as it can be told without running it.

    Args:
        module: its full name.

    Attributes are the module's own; one that cannot be told has the module imported.
    """

    def __init__(self, module: str) -> None:
        self.__name__ = module

    def __getattr__(self, name: str) -> Any:
        """A constant, function or class of the module; raises AttributeError if it has none."""
        try:
            return _declared(self.__name__, name)
        except Undeclared:
            return getattr(import_module(self.__name__), name)


def file_of(module: str) -> Path | None:
    """The file of a module of the package, None if there is none."""
    root, *parts = module.split(".")
    if root != PACKAGE.name:
        return None
    stem = PACKAGE.joinpath(*parts)
    places = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((path for path in places if path.is_file()), None)


@cache
def _declared(module: str, name: str) -> Any:
    if file_of(module) is None:
        raise Undeclared(module)
    if file_of(f"{module}.{name}"):
        return Declared(f"{module}.{name}")
    if _is_light(module):
        return getattr(import_module(module), name)
    return _cut_of(module).find(name)


@cache
def _cut_of(module: str) -> "_Cut":
    return _Cut(module)


@cache
def _body(module: str) -> list[ast.stmt]:
    path = file_of(module)
    return ast.parse(path.read_text() if path else "").body


@cache
def _statements(module: str) -> dict[str, ast.stmt]:
    """The names that a module binds at its top, in one plain statement, to that statement."""
    found: dict[str, ast.stmt] = {}
    unclear: set[str] = set()
    for statement in _body(module):
        names = list(_bound(statement))
        unclear |= {n for n in names if n in found or not isinstance(statement, PLAIN)}
        found |= dict.fromkeys(names, statement)
    return {name: statement for name, statement in found.items() if name not in unclear}


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.split(".")[0] for alias in statement.names)
    elif isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
        # What is assigned to an item of a name changes the name.
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (n.id for each in targets for n in ast.walk(each) if isinstance(n, ast.Name))
    else:
        yield from (n.id for n in ast.walk(statement) if isinstance(n, ast.Name))


def _is_light(module: str, asking: frozenset[str] = frozenset()) -> bool:
    """Whether a module, with all that it imports, imports no more than ``LIGHT``."""
    if module in asking:
        return True
    imported = set()
    for statement in _run_at_import(_body(module)):
        if isinstance(statement, ast.Import):
            imported |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            imported.add(statement.module)
            inside = (f"{statement.module}.{alias.name}" for alias in statement.names)
            imported |= {name for name in inside if file_of(name)}
    own = {name for name in imported if file_of(name)}
    if any(name.split(".")[0] not in LIGHT for name in imported - own):
        return False
    above = {module.rpartition(".")[0]} - {""}
    return all(_is_light(name, asking | {module}) for name in own | above)


def _run_at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        typing = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)
        if not typing and not isinstance(statement, ast.FunctionDef):
            yield from ast.walk(statement)


class _Cut:
    """A module's statements, run one by one as they are needed."""

    def __init__(self, module: str) -> None:
        self.statements = _statements(module)
        self.asked: set[str] = set()
        self.names: dict[str, Any] = {"__name__": module, "Undeclared": Undeclared}

    def find(self, name: str) -> Any:
        if name not in self.names and name not in self.asked:
            self.asked.add(name)  # a class may name itself
            if name not in self.statements:
                raise Undeclared(name)
            self._run(name, self.statements[name])
        if name not in self.names:
            raise Undeclared(name)
        return self.names[name]

    def _run(self, name: str, statement: ast.stmt) -> None:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            self.names[name] = _imported(name, statement)
            return
        kept = ast.Module([_Light().visit(copy.deepcopy(statement))], [])
        for node in ast.walk(kept):
            if isinstance(node, ast.Name) and not hasattr(builtins, node.id):
                with suppress(Undeclared):
                    self.find(node.id)
        code = compile(ast.fix_missing_locations(kept), self.names["__name__"], "exec")
        try:
            exec(code, self.names)
        except NameError as error:
            raise Undeclared(name) from error


def _imported(name: str, statement: ast.Import | ast.ImportFrom) -> Any:
    alias = next(a for a in statement.names if name in (a.asname, a.name, a.name.split(".")[0]))
    module = statement.module if isinstance(statement, ast.ImportFrom) else alias.name
    if module and file_of(module) and isinstance(statement, ast.ImportFrom):
        return _declared(module, alias.name)
    if not module or module.split(".")[0] not in LIGHT:
        raise Undeclared(module)
    if isinstance(statement, ast.ImportFrom):
        return getattr(import_module(module), alias.name)
    found = import_module(module)
    return found if alias.asname else sys.modules[module.split(".")[0]]


class _Light(ast.NodeTransformer):
    """Takes out annotations, which name tensors, and what a plan does not run."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        return ast.Assign([node.target], node.value) if node.value else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        body: list[ast.stmt] = []
        for each in node.body:
            if isinstance(each, ast.FunctionDef) and each.name not in CHECKS:
                is_value = any("property" in ast.unparse(d) for d in each.decorator_list)
                stub = f"def {each.name}(*given, **named): raise Undeclared({each.name!r})"
                body += ast.parse(f"@property\n{stub}" if is_value else stub).body
            else:
                body.append(self.visit(each) if isinstance(each, ast.FunctionDef) else each)
        node.body = body
        return node

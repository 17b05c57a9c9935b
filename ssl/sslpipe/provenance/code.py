"""The code that a stage's numbers come from, and a hash of it.

That is the stage's module and all that it imports, directly or not, but for the rooms that move no number.
Of a module neither comments nor docstrings count. Other files of its folder, such as a page's style, do.
"""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import sslpipe
from sslpipe.data.sources import module_of
from sslpipe.io.files import digest
from sslpipe.params import Params

PACKAGE = "sslpipe"
NEUTRAL = (
    "__init__", "cli", "cores", "errors", "io", "layout", "params", "provenance", "running",
    "terminal", "upkeep",
)  # fmt: skip
"""Modules and folders that may change without any stage running again."""
REGISTRIES = ("schema.runs", "schema.sources")
"""Lists of all kinds: a stage depends on the one that it needs (see `part_of`), not on the others."""


def code_hash(stage: str, part: str | None = None) -> str:
    """Of the package that runs, as its files were when they were first asked for. part: see `part_of`."""
    return digest(digests(stage, part))[:16]


def look_again() -> None:
    """Before code is compared with what it was."""
    digests.cache_clear()
    _digest.cache_clear()


@cache
def digests(stage: str, part: str | None = None, root: Path | None = None) -> dict[str, str]:
    """Path below the package → hash, of the code that the stage's numbers come from. root: the package's
    folder, where it is not the one that runs."""
    root = root or Path(sslpipe.__file__).parent
    files = list(closure(root, filter(None, (f"stages.{stage}", part))))
    for folder in dict.fromkeys(file.parent for file in files):
        files += (
            file for file in sorted(folder.iterdir()) if file.is_file() and not _of_python(file)
        )
    return {file.relative_to(root).as_posix(): _digest(file) for file in sorted(files)}


def code_of(stage: str, params: Params, name: str | None = None) -> str:
    """`code_hash` of a stage with the part that the job of this name adds."""
    return code_hash(stage, part_of(stage, params, name) if name is not None else None)


def part_of(stage: str, params: Params, name: str) -> str | None:
    """The module that a run's method or a data set's source adds to a stage, which imports it by that
    name; None where it adds none."""
    if stage in ("download", "describe"):
        module = module_of(params.datasets[name].source)
        return module if stage == "download" else module.replace("data", "schema", 1)
    return part_of_method(params.runs[name].method) if stage == "pretrain" else None


def part_of_method(method: str) -> str | None:
    """None for an encoder that is not trained."""
    return f"methods.{method}" if method != "random" else None


def closure(root: Path, modules: Iterator[str]) -> Iterator[Path]:
    """Files of `modules` and of all that they import from the package at `root`, less the neutral."""
    seen: set[Path] = set()
    waiting = [_file(root, module) for module in modules]
    while waiting:
        file = waiting.pop()
        if file is None or file in seen:
            continue
        seen.add(file)
        yield file
        waiting += (_file(root, module) for module in _imports(file))


def _file(root: Path, module: str) -> Path | None:
    """Of a module's name below the package; None for a neutral one, and for what is no module."""
    if module.partition(".")[0] in NEUTRAL or module in REGISTRIES:
        return None
    path = root.joinpath(*module.split("."))
    both = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in both if file.exists()), None)


def _imports(file: Path) -> Iterator[str]:
    """What a module imports from the package, wherever in it, or names as a text, to import it when it is
    wanted; but for the eyes of a type checker."""
    waiting: list[ast.AST] = [ast.parse(file.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and node.value.startswith(f"{PACKAGE}."):
                yield node.value.removeprefix(f"{PACKAGE}.")
        elif isinstance(node, ast.Import):
            names = (alias.name.partition(".") for alias in node.names)
            yield from (below for top, _, below in names if top == PACKAGE and below)
        elif isinstance(node, ast.ImportFrom):
            top, _, below = (node.module or "").partition(".")
            if top == PACKAGE:
                # what is imported is a module itself, or stands in one
                inner = [".".join(filter(None, (below, alias.name))) for alias in node.names]
                yield from inner
                yield below or "__init__"
        else:
            waiting += ast.iter_child_nodes(node)


@cache
def _digest(file: Path) -> str:
    content = file.read_bytes()
    if file.suffix == ".py":
        content = bare(content).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def bare(source: bytes) -> str:
    """The lines of a module without comments, docstrings and blank lines: the same on every Python."""
    lines = source.decode().splitlines()
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if not isinstance(node.value.value, str):
                continue
            first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
            before = lines[first].encode()[: node.col_offset].decode()
            after = lines[last].encode()[node.end_col_offset :].decode() if last != first else ""
            lines[first : last + 1] = [before + after, *[""] * (last - first)]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _of_python(file: Path) -> bool:
    """Code, or what Python, editors and systems leave beside it."""
    return file.name.startswith(".") or file.suffix in (".py", ".pyc", ".part")

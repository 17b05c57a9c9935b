"""The package's folders stand one above the other, and imports run downwards only."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "ssl/sslpipe"
# From the ground up; those of a line know nothing of one another.
FLOORS = (
    {"__init__", "errors", "seeds", "cores"},
    {"layout"},
    {"io"},
    {"schema"},
    {"params"},
    {"views", "networks", "data", "optim"},
    {"methods"},
    {"provenance"},
    {"running"},
    {"evaluation"},
    {"training"},
    {"reporting"},
    {"upkeep"},
    {"terminal"},
    {"stages"},
    {"cli"},
    {"__main__"},
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imports(module: str) -> set[str]:
    """The package's modules that a module imports, anywhere in it, but for a type checker."""
    found = set()
    waiting: list[ast.AST] = [ast.parse(MODULES[module].read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sslpipe"):
            base = node.module.split(".")[1:]
            for alias in node.names:
                inner = "/".join([*base, alias.name])
                found.add(inner if inner in MODULES else "/".join(base) or "__init__")
        elif isinstance(node, ast.Import):
            names = (alias.name.split(".") for alias in node.names)
            found |= {"/".join(name[1:]) or "__init__" for name in names if name[0] == "sslpipe"}
        waiting += ast.iter_child_nodes(node)
    return found - {module}


def test_no_import_runs_upwards_or_to_the_next_door():
    wrong = []
    for module in MODULES:
        room = module.split("/")[0]
        for other in imports(module):
            below = other.split("/")[0]
            if below != room and FLOOR[below] >= FLOOR[room]:
                wrong.append(f"{module} imports {other}")
    assert wrong == []


def test_no_modules_import_one_another_in_a_circle():
    list(TopologicalSorter({module: imports(module) for module in MODULES}).static_order())


def test_the_package_has_few_files_at_its_top_and_none_is_long():
    assert len(list(PACKAGE.glob("*.py"))) <= 8
    long = {
        str(path.relative_to(PACKAGE)): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert long == {}

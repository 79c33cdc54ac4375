"""Imports go down only, and the app's own process never imports what takes seconds."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

#: The floors from the top; a room may import its own floor and those below it.
FLOORS: list[set[str]] = [
    {"app", "tuner.__main__"},
    {"tuner.ui"},
    {"tuner.workbench"},
    {"tuner.data", "tuner.plan", "tuner.runs", "tuner.doctor", "tuner.hub", "tuner.chat", "tuner.export"},
    {"tuner.workers", "tuner.machine"},
    {"tuner.presets", "tuner.records", "tuner.knobs", "tuner.config", "tuner.settings", "tuner.errors",
     "tuner.files", "tuner.texts"},
]  # fmt: skip
STAGES = FLOORS[3]
HEAVY = {"torch", "transformers", "datasets", "swift", "peft", "modelscope", "modelscope_hub"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in [*(ROOT / "tuner").rglob("*.py"), *ROOT.glob("app.py")]}


def room(module: str) -> str:
    """The room of the house that a module belongs to."""
    parts = module.split(".")
    return parts[0] if parts[0] != "tuner" else ".".join(parts[:2])


def absolute(module: str, node: ast.ImportFrom) -> str:
    """What a ``from … import`` names, dots resolved as Python resolves them."""
    if not node.level:
        return node.module or ""
    package = module.split(".")
    if MODULES[module].name != "__init__.py":
        package = package[:-1]
    base = package[: len(package) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def imports(module: str, tree: ast.AST) -> set[str]:
    """Every module that is imported anywhere in the file."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            found |= {name if (name := f"{base}.{a.name}") in MODULES else base for a in node.names}
    return found


def at_import(tree: ast.Module) -> ast.Module:
    """The file without the bodies of its functions and without what only type checkers read."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)

    stripped: ast.Module = Strip().visit(tree)
    return stripped


def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def floor(name: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if name in rooms)


def ours(module: str) -> set[str]:
    """The rooms that a module imports, its own left out; the bare package costs and means nothing."""
    found = {
        room(name)
        for name in imports(module, tree_of(module))
        if name.split(".")[0] in ("tuner", "app")
    }
    return found - {room(module), "tuner"}


def test_every_module_has_a_floor() -> None:
    rooms = {room(module) for module in MODULES} - {"tuner"}
    assert len(MODULES) > 40
    assert rooms <= set().union(*FLOORS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down_only(module: str) -> None:
    if module == "tuner":
        assert not imports(module, tree_of(module)) - {"__future__"}
        return
    for other in ours(module):
        assert floor(other) >= floor(room(module)), f"{module} imports {other}, which is above it"


@pytest.mark.parametrize("module", sorted(m for m in MODULES if room(m) in STAGES))
def test_stages_meet_through_the_records_and_not_through_one_another(module: str) -> None:
    assert not ours(module) & STAGES


def test_relative_imports_are_seen() -> None:
    def seen(module: str, line: str) -> set[str]:
        return imports(module, ast.parse(line))

    assert seen("tuner.data.files", "from ..runs import folder") == {"tuner.runs.folder"}
    assert seen("tuner.data.files", "from . import sources") == {"tuner.data.sources"}
    assert seen("tuner.data", "from .files import check") == {"tuner.data.files"}
    assert seen("tuner.data.files", "from .. import workbench") == {"tuner.workbench"}


def test_gradio_is_imported_by_the_page_alone() -> None:
    users = {m for m in MODULES if any(n.split(".")[0] == "gradio" for n in imports(m, tree_of(m)))}
    assert {room(module) for module in users} <= {"app", "tuner.ui"}


def test_what_takes_seconds_is_imported_inside_functions_of_workers_and_trainer_alone() -> None:
    for module in MODULES:
        everywhere = {name.split(".")[0] for name in imports(module, tree_of(module))}
        if everywhere & HEAVY:
            assert room(module) == "tuner.workers" or module == "tuner.runs.trainer", module
        at_top = {name.split(".")[0] for name in imports(module, at_import(tree_of(module)))}
        assert not at_top & HEAVY, module


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("tuner.workbench", HEAVY | {"gradio"}),
        ("tuner.__main__", HEAVY | {"gradio"}),
        ("tuner.ui.shell", HEAVY),
    ],
)
def test_a_clean_process_stays_light(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & absent == set()

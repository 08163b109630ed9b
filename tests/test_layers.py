"""Imports run downhill: a room imports only from the rooms below it, and the package only what it declares."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "onward"

ROOMS = (
    ("cli",), ("ort", "backend", "converters"), ("deploy",), ("runtime",), ("compiler", "tools"), ("passes",), ("operators",), ("program",), ("ir",),
    ("format",), ("errors",),
)  # fmt: skip
"""From the top of the house to its foundation; rooms of one storey do not import each other."""

HEIGHT = {room: len(ROOMS) - index for index, storey in enumerate(ROOMS) for room in storey}

FOREIGN = {"numpy", "ml_dtypes", "llvmlite"}
FOREIGN_OF_ROOM = {
    "cli": {"typer", "rich", "onnxruntime", "openvino"}, "backend": {"onnx"}, "operators": {"PIL"},
    "converters": {
        "torch", "safetensors", "tensorflow", "keras", "h5py", "jax", "flax", "sklearn", "scipy", "pandas", "joblib", "skops", "xgboost", "lightgbm", "catboost",
        "ai_edge_litert",
    },
}  # fmt: skip
"""The peers are imported where `onward bench` finds them installed; `onnx.backend.base` likewise; ImageDecoder asks for Pillow."""

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    """The room that a file stands in."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, those within functions included; types alone (TYPE_CHECKING) are no import."""
    tree = ast.parse(path.read_text())
    for node in _run_time_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            if node.module == "onward":
                yield from ((node.lineno, f"onward.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from _run_time_nodes(other)
            continue
        yield child
        yield from _run_time_nodes(child)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downhill(path: Path) -> None:
    room = room_of(path)
    assert room in HEIGHT, f"{path} stands in a room that is not in docs/architecture.md"
    for line, module in imports(path):
        top, _, rest = module.partition(".")
        if top == "onward":
            other = rest.partition(".")[0]
            if not other:  # `import onward`: the public names, for those who stand above all rooms
                assert room == "cli", f"{path}:{line}: {room} imports the package's front door"
                continue
            assert other == room or HEIGHT[other] < HEIGHT[room], f"{path}:{line}: {room} imports {other}, which is not below"
        elif top not in sys.stdlib_module_names:
            assert top in FOREIGN | FOREIGN_OF_ROOM.get(room, set()), f"{path}:{line}: {room} imports {module}"


def test_importing_the_package_loads_nothing() -> None:
    import subprocess

    code = "import sys, onward; print(*(name for name in ('numpy', 'llvmlite', 'typer') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_public_name_is_there() -> None:
    import onward

    for name in onward.__all__:
        assert getattr(onward, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        onward.nothing  # noqa: B018

"""Contractions: register tiles, packing, and results at sizes where tiles end."""

from __future__ import annotations

import re

import numpy as np
import pytest

from onward import program as P
from onward.compiler.artifact import CompileOptions
from onward.compiler.driver import compile_program
from onward.compiler.native import assembly
from onward.compiler.schedule import contraction, matrix, packing, strips
from onward.compiler.schedule.packing import pack_panels
from onward.compiler.schedule.tiles import Tile, choose_tile, legal_tiles
from onward.compiler.targets import Target
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol
from onward.operators.lowering import Program
from tests.compiler.native import compare

HAS_AVX512 = Target.parse("host").name == "avx512"
TARGETS = ["generic", "avx2", pytest.param("avx512", marks=pytest.mark.skipif(not HAS_AVX512, reason="no AVX-512 here"))]


def texts_of(program: Program, target: str, monkeypatch: pytest.MonkeyPatch, precision: str = "float32") -> list[str]:
    """The LLVM text of a program's kernels."""
    found: list[str] = []
    original = matrix.MatrixSchedule.kernel

    def keep(self: matrix.MatrixSchedule) -> object:
        kernel = original(self)
        found.append(kernel.text)
        return kernel

    monkeypatch.setattr(matrix.MatrixSchedule, "kernel", keep)
    compile_program(program, CompileOptions(target=target, precision=precision))
    return found


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows, columns, depth", [(1, 64, 7), (3, 50, 64), (13, 37, 5), (64, 96, 33), (29, 1, 31), (5, 129, 1)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("constant", [True, False])
def test_products(target: str, rows: int, columns: int, depth: int, kind: type, constant: bool) -> None:
    g = np.random.default_rng(rows * columns)
    left, right = g.standard_normal((rows, depth)).astype(kind), g.standard_normal((depth, columns)).astype(kind)
    x = P.Input((rows, depth), DataType.of(np.dtype(kind)), "x")
    w = P.constant(right) if constant else P.Input((depth, columns), x.dtype, "w")
    inputs = [x] if constant else [x, w]
    product = P.maximum(P.matmul(x, w), P.constant(np.zeros((), kind)))
    tolerance = 1e-6 if kind is np.float32 else 1e-14
    compare(inputs, {"y": product}, {"x": left, "w": right}, target, tolerance)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows", [1, 2, 7, 40])
def test_a_number_of_rows_that_only_the_run_knows(target: str, rows: int) -> None:
    g = np.random.default_rng(rows)
    left, right = g.standard_normal((rows, 24)).astype(np.float32), g.standard_normal((24, 70)).astype(np.float32)
    x = P.Input((Symbol("n", 0), 24), DataType.FLOAT, "x")
    compare([x], {"y": P.matmul(x, P.constant(right))}, {"x": left}, target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows, known", [(2, True), (6, True), (1, False), (3, False), (4, False), (50, False)])
def test_keys_that_lie_along_the_reduction(target: str, rows: int, known: bool) -> None:
    """Few rows are multiplied sum by sum, many by panels; the run says which where it alone knows."""
    g = np.random.default_rng(rows)
    q, k = P.Input((2, rows if known else Symbol("n", 0), 24), DataType.FLOAT, "q"), P.Input((2, 37, 24), DataType.FLOAT, "k")
    feeds = {"q": g.standard_normal((2, rows, 24)).astype(np.float32), "k": g.standard_normal((2, 37, 24)).astype(np.float32)}
    artifact = compare([q, k], {"y": P.matmul(q, P.transpose(k, [0, 2, 1])) + 1.0}, feeds, target)
    kinds = {kernel.kind for kernel in artifact.kernels}
    assert kinds == ({"map", "contraction", "rows"} if not known else {"rows"} if rows < contraction.FEW_ROWS else {"map", "contraction"})


@pytest.mark.parametrize("open_sizes", [False, True])
@pytest.mark.parametrize("share", [1 << 20, 20, 1])
@pytest.mark.parametrize("threads", [1, 3])
def test_rows_in_strips(share: int, open_sizes: bool, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of one tile, of several and of all; two loops of rows that do not lie one behind another, columns that fill no panel, a shortcut."""
    g = np.random.default_rng(share)
    monkeypatch.setattr(strips, "STRIP_SHARE", share)
    feeds = {"x": g.standard_normal((3, 9, 41, 8)).astype(np.float32), "add": g.standard_normal((3, 7, 40, 150)).astype(np.float32)}
    batch = Symbol("n", 0) if open_sizes else 3
    x, add = P.Input((batch, 9, 41, 8), DataType.FLOAT, "x"), P.Input((batch, 7, 40, 150), DataType.FLOAT, "add")
    w = P.constant(g.standard_normal((3, 2, 8, 150)).astype(np.float32))
    total = P.reduce(
        "sum", (batch, 7, 40, 150), (3, 2, 8),
        lambda n, row, column, channel, i, j, k: x[n, row + i, column + j, k] * w[i, j, k, channel],
    )  # fmt: skip
    compare([x, add], {"y": P.maximum(total + add, P.constant(np.zeros((), np.float32)))}, feeds, "host", threads=threads)


@pytest.mark.parametrize("target", ["host", "generic"])
@pytest.mark.parametrize("depth, columns", [(8, 0), (0, 5), (0, 0)])
def test_weights_without_elements(target: str, depth: int, columns: int) -> None:
    x = P.Input((Symbol("n", 0), depth), DataType.FLOAT, "x")
    y = P.matmul(x, P.constant(np.zeros((depth, columns), np.float32)))
    compare([x], {"y": y}, {"x": np.ones((3, depth), np.float32)}, target)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("rows", [1, 6])
def test_a_concatenation_is_multiplied_where_it_lies(rows: int, turned: bool) -> None:
    """The values of a cache, the new ones behind the old; or parts that lie the other way round, which take a way of their own."""
    g = np.random.default_rng(rows)
    x = P.Input((rows, 20), DataType.FLOAT, "x")
    old, new = P.Input((2, 19, 33), DataType.FLOAT, "old"), P.Input((2, 1, 33), DataType.FLOAT, "new")
    parts: list[P.Array] = [old, new]
    if turned:
        parts = [P.transpose(P.matmul(P.transpose(part, [0, 2, 1]), P.constant(np.eye(part.shape[1], dtype=np.float32))), [0, 2, 1]) for part in parts]
    feeds = {item.label: g.standard_normal(item.shape).astype(np.float32) for item in (x, old, new)}
    whole = P.concatenate(parts, 1)
    artifact = compare([x, old, new], {"y": P.matmul(x, whole)}, feeds, "host")
    if not turned:
        assert [kernel.kind for kernel in artifact.kernels].count("map") == 2, "one for each part"


@pytest.mark.parametrize("target", ["generic", "avx2", "avx512", "aarch64"])
@pytest.mark.parametrize("rows, columns, depth", [(128, 768, 768), (128, 768, 3072), (1, 1024, 768), (7, 512, 512), (196, 256, 1024)])
def test_tiles_stay_in_registers(target: str, rows: int, columns: int, depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = P.Input((rows, depth), DataType.FLOAT, "x")
    right = np.zeros((depth, columns), np.float32)
    texts = texts_of(Program("test", (x,), {"y": P.matmul(x, P.constant(right))}, {}), target, monkeypatch)
    assert len(texts) == 1
    code = assembly(texts[0], Target.parse(target))
    assert not re.search("spill|reload", code, re.IGNORECASE)
    if target == "aarch64":
        assert "fmla" in code


@pytest.mark.parametrize("name", ["generic", "avx2", "avx512", "aarch64"])
def test_legal_tiles_fit_the_registers(name: str) -> None:
    target = Target.parse(name)
    tiles = legal_tiles(target)
    assert Tile(1, 8) in tiles or target.vector_registers == 16
    assert all(tile.rows * tile.vectors + tile.vectors + (tile.vectors > 1) <= target.vector_registers for tile in tiles)


def test_a_tile_suits_the_size() -> None:
    target = Target.parse("avx512")
    assert choose_tile(1, 4096, [4096], 4, target, 16).rows == 1
    assert choose_tile(1, 4096, [4096], 4, target, 16).vectors >= 4
    assert choose_tile(14, 256, [3, 768], 4, target, 16).rows in (7, 14)
    assert choose_tile(128, 16, [64], 4, target, 16).vectors == 1, "one vector holds all columns"


def test_no_more_rows_than_lines_in_a_set_where_all_rows_share_it() -> None:
    target = Target.parse("avx512")
    assert choose_tile(64, 768, [3072], 4, target, 16, row_bytes=3072 * 4).rows <= target.l1_lines
    assert choose_tile(64, 768, [3072], 4, target, 16, row_bytes=3072 * 4 + 64).rows > target.l1 // 4096, "rows that lie apart have room"


@pytest.mark.parametrize("shape, batch_axes, width", [((3, 4, 5, 7), 1, 4), ((6, 8), 0, 8), ((2, 5), 0, 16)])
def test_packing_puts_each_panel_in_the_order_of_use(shape: tuple[int, ...], batch_axes: int, width: int) -> None:
    array = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    packed = pack_panels(array, batch_axes, width)
    columns = shape[-1]
    flat = array.reshape(int(np.prod(shape[:batch_axes])), -1, columns)
    for column in range(packed.shape[1] * width):
        lane = packed[:, column // width, :, column % width]
        np.testing.assert_array_equal(lane, flat[:, :, column] if column < columns else 0)


@pytest.mark.parametrize("batch", [0, 1])
def test_panels_made_part_by_part_are_those_made_at_once(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PART", 100)
    array = np.random.default_rng(0).standard_normal((3, 6, 37), np.float32)
    make = packing.packing_of((0, 2, 1), 0, (3, 6, 37), (37 * 6, 1, 6), batch, 4, 6, 1, 1, 1, np.dtype(np.float32))
    parts = list(make(array))
    assert len(parts) == (1 if batch else 10)
    np.testing.assert_array_equal(np.concatenate([part.ravel() for part in parts]), pack_panels(array, batch, 4).ravel())

"""What the processor can do at most, per core: the measure for everything else.

    [ONWARD_CPU=avx2] python benchmarks/peaks.py [--seconds 3]

Multiplications with operands in registers, enough of them at once to hide their latency, and reads of a buffer of the given
size, all in code that the package's own builder makes. The best of many runs, by turns, by the clock of the thread.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable

import numpy as np

from models import processor
from onward.cli.output import console, table
from onward.compiler.builder import Builder, Module
from onward.compiler.native import compile_module, load_object
from onward.compiler.targets import Target
from onward.compiler.values import F32, I8, I32, I64, POINTER, Type, Value

CHAINS = 12
"""Sums at once."""
TURNS = 400_000
"""A millisecond: a processor needs some 20 microseconds before it runs its widest vectors at full speed."""
BUFFERS = {"first-level cache": 16 << 10, "second-level cache": 512 << 10, "memory": 256 << 20}
READ = 64 << 20
"""Bytes that are read at least: small buffers again and again."""

Step = Callable[[Builder, Value, Value, Value], Value]


def multiplications(target: Target) -> dict[str, tuple[Type, Type, Step, int]]:
    """Name -> type of the sums, type of the operands, the step, and operations in a step (a product and a sum are two)."""
    bits = target.vector_bits
    floats, sums, bytes_of = F32.with_lanes(bits // 32), I32.with_lanes(bits // 32), I8.with_lanes(bits // 8)
    found: dict[str, tuple[Type, Type, Step, int]] = {"float32 multiply-add": (floats, floats, lambda b, total, x, y: b.fma(x, y, total), bits // 16)}
    if target.is_x86 and target.byte_product == "dot":
        name = f"llvm.x86.avx512.vpdpbusd.{bits}"
        found["uint8 x int8 (vpdpbusd)"] = (sums, bytes_of, lambda b, total, x, y: b.intrinsic(name, sums, total, x, y), bits // 4)
    if target.is_x86 and target.has_bfloat16:
        narrow, name_16 = Type("bf16", bits // 16), f"llvm.x86.avx512bf16.dpbf16ps.{bits}"
        found["bfloat16 (vdpbf16ps)"] = (
            floats, narrow, lambda b, total, x, y: b.intrinsic(name_16, floats, total, x, y), bits // 8,
        )  # fmt: skip
    return found


def arithmetic_kernel(target: Target, sums: Type, operands: Type, step: Step) -> Callable[[], None]:
    """TURNS times CHAINS steps, on random operands."""
    module = Module(target)
    b = module.function("kernel", [("data", POINTER)])
    (data,) = b.arguments
    as_bits = Type("i16", operands.lanes) if operands.kind == "bf16" else operands
    left, right = (b.load(b.offset(data, b.constant(I64, place), I8), as_bits) for place in (0, 64))
    left, right = b.bitcast(left, operands), b.bitcast(right, operands)
    totals = [b.variable(b.constant(sums, number)) for number in range(CHAINS)]
    with b.loop(b.constant(I64, 0), b.constant(I64, TURNS)):
        for total in totals:
            total.set(step(b, total.get(), left, right))
    for number, total in enumerate(totals):
        b.store(b.offset(data, b.constant(I64, 128 + 64 * number), I8), total.get())
    b.ret()
    memory = np.random.default_rng(0).random(4096, np.float32)
    return _callable(module, target, memory)


def reading_kernel(target: Target, size: int, times: int) -> Callable[[], None]:
    """Reads a buffer some times."""
    module = Module(target)
    kind, step = I32.with_lanes(target.vector_bits // 32), target.vector_bits // 8
    b = module.function("kernel", [("data", POINTER)])
    (data,) = b.arguments
    totals = [b.variable(b.constant(kind, 0)) for _ in range(8)]
    with b.loop(b.constant(I64, 0), b.constant(I64, times)):
        with b.loop(b.constant(I64, 0), b.constant(I64, size), b.constant(I64, 8 * step)) as place:
            for number, total in enumerate(totals):
                total.set(total.get() ^ b.load(b.offset(data, place + b.constant(I64, number * step), I8), kind))
    for number, total in enumerate(totals):
        b.store(b.offset(data, b.constant(I64, number * step), I8), total.get())
    b.ret()
    return _callable(module, target, np.random.default_rng(0).integers(0, 255, size, np.uint8))


def _callable(module: Module, target: Target, memory: np.ndarray) -> Callable[[], None]:
    library = load_object(compile_module(module.text(), target), ["kernel"])
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("kernel"))
    place = memory.ctypes.data

    def run(keep: tuple[object, ...] = (library, memory)) -> None:
        function(place)

    return run


def main() -> None:
    """Measures by turns and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    target = Target.parse(None)
    runs: dict[str, tuple[Callable[[], None], float, str]] = {}
    for name, (sums, operands, step, operations) in multiplications(target).items():
        runs[name] = (arithmetic_kernel(target, sums, operands, step), operations * CHAINS * TURNS, "Gop/s")
    for name, size in BUFFERS.items():
        times = max(1, READ // size)
        runs[f"read of {name}"] = (reading_kernel(target, size, times), size * times, "GB/s")
    least = dict.fromkeys(runs, float("inf"))
    deadline = time.perf_counter() + arguments.seconds
    while time.perf_counter() < deadline:
        for name, (run, _, _) in runs.items():
            begin = time.thread_time()
            run()
            least[name] = min(least[name], time.thread_time() - begin)
    rows = table("what", "best", title=f"{processor()}, {target.name}, one core", left=1)
    for name, (_, amount, unit) in runs.items():
        rows.add_row(name, f"{amount / least[name] * 1e-9:.0f} {unit}")
    console.print(rows)


if __name__ == "__main__":
    main()

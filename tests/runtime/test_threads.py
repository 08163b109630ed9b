"""The thread pool: every block once, whoever is late, and nothing left behind."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from onward.compiler.builder import Module
from onward.compiler.context import Slot
from onward.compiler.native import Library, compile_module
from onward.compiler.support import PATIENCE
from onward.compiler.targets import Target
from onward.compiler.values import I64, POINTER
from onward.runtime import threads

LAUNCH = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


def counting_kernel() -> Library:
    """void count(ptr counters, i64 begin, i64 end): adds one to each counter of the range, atomically."""
    target = Target.parse("generic")
    module = Module(target)
    b = module.function("count", [("counters", POINTER), ("begin", I64), ("end", I64)])
    counters, begin, end = b.arguments
    with b.loop(begin, end) as index:
        b.atomic_update("add", b.offset(counters, index, I64), b.constant(I64, 1))
    b.ret()
    return Library([compile_module(module.text(), target)], ["count"])


KERNEL = counting_kernel()


def launches(pool: int, blocks: int, times: int) -> np.ndarray:
    """How often each block was run."""
    context = np.zeros(int(Slot.COUNT), np.int64)
    context[Slot.POOL] = pool
    counters = np.zeros(max(1, blocks), np.int64)
    launch = LAUNCH(threads.support().address("parallel_for"))
    for _ in range(times):
        launch(context.ctypes.data, KERNEL.address("count"), counters.ctypes.data, blocks)
    return counters[:blocks]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("patience", [0, PATIENCE])
def test_every_block_runs_once_in_each_launch(count: int, patience: int) -> None:
    for blocks in (0, 1, 2, 3, 7, 8, 1000):
        assert (launches(threads.pool_pointer(count, patience), blocks, 200) == 200).all()


def test_callers_share_a_pool() -> None:
    pool = threads.pool_pointer(4)
    wrong: list[int] = []

    def work() -> None:
        if not (launches(pool, 13, 2000) == 2000).all():
            wrong.append(1)

    callers = [threading.Thread(target=work) for _ in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_launches_after_sleep() -> None:
    pool = threads.pool_pointer(3, 0)
    for _ in range(20):
        time.sleep(0.002)
        assert (launches(pool, 5, 1) == 1).all()


def test_a_stopped_pool_lets_its_workers_go_and_callers_work_alone() -> None:
    pool = threads.ThreadPool(3)
    assert (launches(pool.pointer, 5, 10) == 10).all()
    pool.stop()
    assert not any(worker.is_alive() for worker in pool._workers)
    assert (launches(pool.pointer, 5, 10) == 10).all()


def test_a_system_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(worker: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pool = threads.ThreadPool(4)
    assert pool.threads == 1
    assert (launches(pool.pointer, 5, 10) == 10).all()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processor affinity")
def test_affinity_is_respected() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); from onward.runtime import threads; print(threads.available_cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize("limit, cores", [("max 100000", None), ("50000 100000", 1), ("150000 100000", 2), ("400000 100000", 4), ("nonsense", None)])
def test_quota_of_the_control_group(monkeypatch: pytest.MonkeyPatch, limit: str, cores: int | None) -> None:
    def read(path: object, *arguments: object, **named: object) -> str:
        if str(path) == "/sys/fs/cgroup/cpu.max":
            return limit
        raise OSError(str(path))

    monkeypatch.setattr(threads.Path, "read_text", read)
    assert threads._group_quota() == cores


def test_the_interpreter_ends_in_the_middle_of_patience() -> None:
    code = "from onward.runtime import threads\nfrom tests.runtime.test_threads import launches\nlaunches(threads.pool_pointer(4, 10**10), 9, 5)\n"
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

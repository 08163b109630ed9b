"""The thread pools of this process: one for each number of threads, shared by all sessions.

Workers are Python daemon threads that spend their life in one native call without the interpreter lock. A pool of one
thread does not exist: the caller does everything and no atomic instruction runs.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import math
import os
import threading
from pathlib import Path

import numpy as np

from onward.compiler.native import Library, compile_module
from onward.compiler.support import LINE, PATIENCE, Pool, support_module
from onward.compiler.targets import Target
from onward.runtime import cache

_WORKER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_STOP = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@functools.cache
def support() -> Library:
    """The native side of the context: `parallel_for`, `worker`, `fail`, `now`."""
    target = Target.parse("generic")
    names = ["parallel_for", "worker", "stop_pool", "fail", "now"]
    return Library([cache.code_of("support", target, lambda: compile_module(support_module(target), target))], names)


def available_cores() -> int:
    """The number of cores this process may use: affinity, capped by the quota of its control group."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _group_quota() or cores))


def _group_quota() -> int | None:
    """Cores granted by cgroup v2 or v1, rounded up; None without a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text().strip()
            period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None
    return max(1, math.ceil(int(quota) / int(period)))


class ThreadPool:
    """Threads that run kernels together; `pointer` goes into the context."""

    def __init__(self, threads: int, patience: int = PATIENCE) -> None:
        words = int(Pool.CLAIMS) + threads * LINE
        memory = np.zeros(words + 16, np.int64)
        skip = (-memory.ctypes.data // 8) % 16
        self._words = memory[skip : skip + words]
        self._words[Pool.PATIENCE] = patience
        self.pointer = self._words.ctypes.data
        self._workers: list[threading.Thread] = []
        function = _WORKER(support().address("worker"))
        # Where the system grants fewer threads than asked for, the pool is smaller: runs still give the same numbers.
        with contextlib.suppress(RuntimeError):
            for index in range(1, threads):
                worker = threading.Thread(target=function, args=(self.pointer, index, 0), name=f"onward-{index}", daemon=True)
                worker.start()
                self._workers.append(worker)
        self.threads = len(self._workers) + 1
        self._words[Pool.THREADS] = self.threads

    def stop(self) -> None:
        """Ends the workers; what is launched later runs on its caller alone."""
        _STOP(support().address("stop_pool"))(self.pointer)
        for worker in self._workers:
            worker.join(1.0)


_pools: dict[tuple[int, int], ThreadPool] = {}
_lock = threading.Lock()
generation = 0
"""Grows when pools are forgotten, as in a forked child, whose copies of the workers do not exist."""


def pool_pointer(threads: int, patience: int = PATIENCE) -> int:
    """The address of the shared pool of that many threads; 0 for one thread.

    `patience` is how many nanoseconds the workers look for the next launch before they sleep.
    """
    if threads <= 1:
        return 0
    with _lock:
        key = (threads, patience)
        if key not in _pools:
            _pools[key] = ThreadPool(threads, patience)
        return _pools[key].pointer


@atexit.register
def _stop_all() -> None:
    """Before the interpreter takes the workers' code away."""
    for pool in _pools.values():
        pool.stop()


def _forget() -> None:
    global generation, _lock
    _pools.clear()
    _lock = threading.Lock()
    generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

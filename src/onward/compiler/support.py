"""The host's side of the context in generated code: threads, errors, time.

One small module serves a Python process and a deployed library alike. The thread pool has a caller that takes part and
workers that spin briefly for the next launch and then sleep. Blocks are split statically into one share for each thread,
`[t*n/T, (t+1)*n/T)` for thread t of T. Whoever is first takes a share, its own before the others': a launch never waits
for a worker that is asleep or whose core another program has, and what a share computes does not depend on who takes it.
"""

from __future__ import annotations

from enum import IntEnum

from onward.compiler.builder import Builder, Module
from onward.compiler.context import Slot, Status
from onward.compiler.targets import Target
from onward.compiler.values import I1, I32, I64, POINTER, Value

LINE = 16
"""64-bit words between fields that different threads write: two cache lines, as neighbours are fetched in pairs."""


PATIENCE = 100_000
"""Nanoseconds for which a worker looks for the next launch before it sleeps: longer than the serial kernels of a run."""


class Pool(IntEnum):
    """Positions in the pool, in 64-bit words. Thread t's claim, the last launch of which its share was taken, lies at
    CLAIMS + t * LINE; a pool of T threads has CLAIMS + T * LINE words."""

    EPOCH = 0  # counts launches; workers sleep on its low 32 bits
    DONE = LINE  # shares of the current launch that are finished
    BUSY = 2 * LINE  # 1 while a launch is running
    SLEEPERS = 3 * LINE
    KERNEL = 4 * LINE
    ARGUMENTS = 4 * LINE + 1
    BLOCKS = 4 * LINE + 2
    THREADS = 4 * LINE + 3  # the caller included
    PATIENCE = 4 * LINE + 4  # nanoseconds for which workers look for the next launch before they sleep
    STOP = 4 * LINE + 5
    CLAIMS = 6 * LINE


FUTEX_CALL = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "i686": 240, "arm": 240}
"""The number of the futex system call on Linux. Source: the kernel's system call tables."""


def support_module(target: Target) -> str:
    """The text of the module that defines `parallel_for`, `worker`, `stop_pool`, `fail` and `now`."""
    module = Module(target)
    _fail(module)
    _now(module)
    _take_shares(module)
    _worker(module, target)
    _parallel_for(module, target)
    _stop_pool(module, target)
    return module.text()


def _word(b: Builder, base: Value, position: int) -> Value:
    return b.offset(base, b.constant(I64, position), I64)


def _load(b: Builder, base: Value, position: int) -> Value:
    return b.load(_word(b, base, position), I64)


def _fail(module: Module) -> None:
    """Keeps the first error: status, then details."""
    parameters = [("context", POINTER), ("code", I32), ("a", I64), ("b", I64), ("c", I64)]
    b = module.function("fail", parameters)
    context, code, *details = b.arguments
    status = _word(b, context, Slot.STATUS)
    first = b.compare_exchange(status, b.constant(I64, int(Status.OK)), b.cast(code, I64))
    with b.when(first):
        for slot, value in zip((Slot.DETAIL_A, Slot.DETAIL_B, Slot.DETAIL_C), details):
            b.store(_word(b, context, slot), value)
    b.ret()


def _now(module: Module) -> None:
    """Nanoseconds of a clock that only goes forward."""
    b = module.function("now", [], I64)
    time = b.allocate_stack(I64, 2, 16)
    clock = module.declare("clock_gettime", [I32, POINTER], I32)
    monotonic = 6 if _is_darwin(module.target) else 1  # CLOCK_MONOTONIC in the systems' time.h
    b.call(clock, b.constant(I32, monotonic), time, result=I32)
    seconds, nanoseconds = _load(b, time, 0), _load(b, time, 1)
    b.ret(seconds * b.constant(I64, 1_000_000_000) + nanoseconds)


def _is_darwin(target: Target) -> bool:
    return any(name in target.triple for name in ("darwin", "macos", "ios"))


def _pause(b: Builder, target: Target) -> None:
    architecture = target.triple.split("-")[0]
    if architecture in ("x86_64", "i686"):
        b.intrinsic("llvm.x86.sse2.pause", None)
    elif architecture == "aarch64":
        b.intrinsic("llvm.aarch64.hint", None, b.constant(I32, 1))


def _sleep(b: Builder, pool: Value, seen: Value, target: Target) -> None:
    """Sleeps until the epoch is another than `seen`."""
    architecture = target.triple.split("-")[0]
    if "linux" in target.triple and architecture in FUTEX_CALL:
        _futex(b, pool, FUTEX_CALL[architecture], 128, b.cast(seen, I32))  # FUTEX_WAIT | FUTEX_PRIVATE_FLAG
    elif _is_darwin(target):  # UL_COMPARE_AND_WAIT, as libc++ uses it
        wait = b.module.declare("__ulock_wait", [I32, POINTER, I64, I32], I32)
        low = b.bitwise_and(seen, b.constant(I64, 0xFFFFFFFF))
        b.call(wait, b.constant(I32, 1), pool, low, b.constant(I32, 0), result=I32)
    else:
        b.call(b.module.declare("usleep", [I32], I32), b.constant(I32, 200), result=I32)


def _wake(b: Builder, pool: Value, target: Target) -> None:
    architecture = target.triple.split("-")[0]
    if "linux" in target.triple and architecture in FUTEX_CALL:
        _futex(b, pool, FUTEX_CALL[architecture], 129, b.constant(I32, 2**31 - 1))  # FUTEX_WAKE | FUTEX_PRIVATE_FLAG
    elif _is_darwin(target):  # UL_COMPARE_AND_WAIT | ULF_WAKE_ALL
        wake = b.module.declare("__ulock_wake", [I32, POINTER, I64], I32)
        b.call(wake, b.constant(I32, 0x101), pool, b.constant(I64, 0), result=I32)


def _futex(b: Builder, address: Value, number: int, operation: int, value: Value) -> None:
    b.module.declarations["syscall"] = "declare i64 @syscall(i64, ...)"
    b.emit(
        I64,
        f"call i64 (i64, ...) @syscall(i64 {number}, ptr {address}, i32 {operation}, i32 {value}, ptr null, ptr null, i32 0)",
    )


def _run_share(b: Builder, pool: Value, index: Value) -> None:
    """Runs the blocks of share `index`."""
    blocks, threads, one = _load(b, pool, Pool.BLOCKS), _load(b, pool, Pool.THREADS), b.constant(I64, 1)
    begin, end = b.unsigned_divide(index * blocks, threads), b.unsigned_divide((index + one) * blocks, threads)
    kernel = b.load(_word(b, pool, Pool.KERNEL), POINTER)
    arguments = b.load(_word(b, pool, Pool.ARGUMENTS), POINTER)
    with b.when(begin < end):
        b.call_pointer(kernel, None, [arguments, begin, end])


def _take_shares(module: Module) -> None:
    """void take_shares(ptr pool, i64 index, i64 epoch): runs the shares of launch `epoch` that nobody has taken, the
    own one first. A claim goes from epoch - 1 to epoch, so a thread that is late for a launch finds nothing to take."""
    b = module.function("take_shares", [("pool", POINTER), ("index", I64), ("epoch", I64)], internal=True)
    pool, index, epoch = b.arguments
    one = b.constant(I64, 1)
    threads = _load(b, pool, Pool.THREADS)
    share = b.variable(index)
    with b.loop(b.constant(I64, 0), threads):
        claim = b.offset(pool, b.constant(I64, int(Pool.CLAIMS)) + share.get() * b.constant(I64, LINE), I64)
        with b.when(b.atomic_load(claim, I64) == epoch - one):
            with b.when(b.compare_exchange(claim, epoch - one, epoch)):
                _run_share(b, pool, share.get())
                b.atomic_update("add", _word(b, pool, Pool.DONE), one, "release")
        share.set(share.get() + one)
        with b.when(share.get() == threads):
            share.set(b.constant(I64, 0))
    b.ret()


def _worker(module: Module, target: Target) -> None:
    """void worker(ptr pool, i64 index, i64 epoch): serves launches after `epoch` until STOP is set."""
    b = module.function("worker", [("pool", POINTER), ("index", I64), ("epoch", I64)])
    pool, index, epoch = b.arguments
    one = b.constant(I64, 1)
    seen = b.variable(epoch)
    running = b.variable(b.constant(I1, 1))
    with b.repeat(running.get):
        _look_out(b, pool, seen.get(), target)
        with b.when(b.atomic_load(pool, I64) == seen.get()):
            b.atomic_update("add", _word(b, pool, Pool.SLEEPERS), one, "seq_cst")
            _sleep(b, pool, seen.get(), target)
            b.atomic_update("sub", _word(b, pool, Pool.SLEEPERS), one, "seq_cst")
        current = b.atomic_load(pool, I64)
        with b.when(current != seen.get()):
            seen.set(current)
            running.set(b.atomic_load(_word(b, pool, Pool.STOP), I64) == b.constant(I64, 0))
            with b.when(running.get()):
                b.call("take_shares", pool, index, current)
    b.ret()


def _look_out(b: Builder, pool: Value, seen: Value, target: Target) -> None:
    """Spins until the epoch is another than `seen` or patience is over."""
    patience = _load(b, pool, Pool.PATIENCE)
    deadline = _time(b) + patience
    counter = b.variable(b.constant(I64, 0))
    waiting = b.variable(patience > b.constant(I64, 0))
    with b.repeat(lambda: b.bitwise_and(waiting.get(), b.atomic_load(pool, I64) == seen)):
        _pause(b, target)
        counter.set(counter.get() + b.constant(I64, 1))
        # The clock costs as much as a few pauses: it is asked at every 32nd.
        with b.when(b.bitwise_and(counter.get(), b.constant(I64, 31)) == b.constant(I64, 0)):
            waiting.set(_time(b) < deadline)


def _time(b: Builder) -> Value:
    time = b.call("now", result=I64)
    assert time is not None
    return time


def _stop_pool(module: Module, target: Target) -> None:
    """void stop_pool(ptr pool): lets the workers return. The pool stays busy: later launches run on their callers."""
    b = module.function("stop_pool", [("pool", POINTER)])
    (pool,) = b.arguments
    zero, one = b.constant(I64, 0), b.constant(I64, 1)
    free = b.variable(b.constant(I1, 0))
    with b.repeat(lambda: free.get() == b.constant(I1, 0)):
        free.set(b.compare_exchange(_word(b, pool, Pool.BUSY), zero, one))
        _pause(b, target)
    b.atomic_store(_word(b, pool, Pool.STOP), one)
    b.atomic_update("add", pool, one, "seq_cst")
    _wake(b, pool, target)
    b.ret()


def _parallel_for(module: Module, target: Target) -> None:
    """Runs all blocks of a kernel on the pool; alone when there is no pool or another launch is using it."""
    parameters = [("context", POINTER), ("kernel", POINTER), ("arguments", POINTER), ("blocks", I64)]
    b = module.function("parallel_for", parameters)
    context, kernel, arguments, blocks = b.arguments
    zero, one = b.constant(I64, 0), b.constant(I64, 1)
    word = _load(b, context, Slot.POOL)
    shared = b.variable(b.constant(I1, 0))
    with b.when(b.bitwise_and(word != zero, blocks > one)):
        pool = b.bitcast(word, POINTER)
        shared.set(b.compare_exchange(_word(b, pool, Pool.BUSY), zero, one))
    with b.if_else(shared.get()) as (together, alone):
        with together:
            pool = b.bitcast(word, POINTER)
            b.store(_word(b, pool, Pool.KERNEL), kernel)
            b.store(_word(b, pool, Pool.ARGUMENTS), arguments)
            b.store(_word(b, pool, Pool.BLOCKS), blocks)
            b.atomic_store(_word(b, pool, Pool.DONE), zero)
            epoch = b.atomic_update("add", pool, one, "seq_cst") + one
            asleep = b.atomic_load(_word(b, pool, Pool.SLEEPERS), I64, "seq_cst") > zero
            with b.when(asleep):
                _wake(b, pool, target)
            b.call("take_shares", pool, zero, epoch)
            shares = _load(b, pool, Pool.THREADS)
            waited = b.variable(zero)
            with b.repeat(lambda: b.atomic_load(_word(b, pool, Pool.DONE), I64) < shares):
                _pause(b, target)
                waited.set(waited.get() + one)
                # Another program may have our worker's core: give it away rather than burn it.
                with b.when(b.bitwise_and(waited.get(), b.constant(I64, 0xFFF)) == b.constant(I64, 0xFFF)):
                    b.call(module.declare("sched_yield", [], I32), result=I32)
            b.atomic_store(_word(b, pool, Pool.BUSY), zero)
        with alone:
            b.call_pointer(kernel, None, [arguments, zero, blocks])
    b.ret()

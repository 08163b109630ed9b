"""LLVM IR text -> object code."""

from __future__ import annotations

import functools
import itertools
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from llvmlite import binding

from onward.compiler.targets import Target
from onward.errors import CompileError


@functools.cache
def _know_all_processors() -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()


@functools.cache
def _know_this_processor() -> None:
    """All that loading takes. All processors of LLVM would take 12 MB of memory, which a session with code from the cache never needs."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


def machine(target: Target) -> binding.TargetMachine:
    _know_all_processors()
    return binding.Target.from_triple(target.triple).create_target_machine(cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="default")


def _module(text: str, target: Target, m: binding.TargetMachine) -> binding.ModuleRef:
    try:
        module = binding.parse_assembly(text)
        module.verify()
    except RuntimeError as problem:
        raise CompileError(f"LLVM rejects the generated code: {problem}\n{text}") from problem
    tuning = binding.create_pipeline_tuning_options(speed_level=1)
    builder = binding.create_pass_builder(m, tuning)
    manager = binding.create_new_module_pass_manager()
    manager.add_sroa_pass() if hasattr(manager, "add_sroa_pass") else None
    for name in ("add_instruction_combine_pass", "add_simplify_cfg_pass", "add_new_gvn_pass", "add_loop_rotate_pass"):
        if hasattr(manager, name):
            getattr(manager, name)()
    manager.run(module, builder)
    return module


def compile_module(text: str, target: Target) -> bytes:
    m = machine(target)
    return m.emit_object(_module(text, target, m))


def assembly(text: str, target: Target) -> str:
    m = machine(target)
    return m.emit_assembly(_module(text, target, m))


WORTH_A_PROCESS = 1_100_000
"""Characters of LLVM text that pay for starting another process: about half a second of compiling."""


def compile_modules(texts: Sequence[str], target: Target, processes: int = 0) -> list[bytes]:
    """Object code of each text, in order, by up to `processes` processes (0: one for each idle core).

    Raises CompileError. Small jobs, and those whose helper processes fail, are done in this process.
    """
    total = sum(map(len, texts))
    count = min(processes or idle_cores(), total // WORTH_A_PROCESS + 1, len(texts))
    helpers = [_Helper(target) for _ in range(count - 1)] if sys.executable else []
    shares = [total * 0.85 / count] * len(helpers)  # a helper needs time to start
    for number, text in enumerate(texts):
        place = next((place for place, room in enumerate(shares) if room >= len(text)), None)
        if place is not None:
            shares[place] -= len(text)
            helpers[place].take(number, text)
    for helper in helpers:
        helper.start()
    done: dict[int, bytes] = {}
    taken = {number for helper in helpers for number in helper.numbers}
    for number, text in enumerate(texts):
        if number not in taken:
            done[number] = compile_module(text, target)
    for helper in helpers:
        done.update(helper.results())
    return [done[number] if number in done else compile_module(text, target) for number, text in enumerate(texts)]


def begin_compiling(texts: Sequence[str], target: Target, processes: int = 0) -> Future[list[bytes]]:
    """The same in a thread of its own: LLVM needs no Python, so weights can be packed and written meanwhile."""
    pool = ThreadPoolExecutor(1)
    code = pool.submit(compile_modules, texts, target, processes)
    pool.shutdown(wait=False)
    return code


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def idle_cores() -> int:
    """Cores without work in the last minute, at least one: a helper on a busy core makes everything later (measured)."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, available_cores() - int(load))


class _Helper:
    """A worker process and what it is to compile."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.numbers: list[int] = []
        self.texts: list[str] = []
        self.output = b""
        self.thread = threading.Thread(target=self._talk, daemon=True)

    def take(self, number: int, text: str) -> None:
        self.numbers.append(number)
        self.texts.append(text)

    def start(self) -> None:
        self.thread.start()

    def _talk(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-m", "onward.compiler.worker"]
        try:
            finished = subprocess.run(
                command, input=pickle.dumps((self.texts, self.target)), stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env=environment, check=False, timeout=600,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return  # no process to be had: the caller compiles these itself
        self.output = finished.stdout if finished.returncode == 0 else b""

    def results(self) -> dict[int, bytes]:
        """What was compiled; nothing where the process failed."""
        self.thread.join()
        return dict(zip(self.numbers, pickle.loads(self.output))) if self.output else {}


_libraries = itertools.count()


class Library:
    """Object code loaded into this process. `exports` are the functions that can be looked up; freed with the object."""

    def __init__(self, objects: Sequence[bytes], exports: Sequence[str]) -> None:
        _know_this_processor()
        # JITLink puts an object's sections side by side. The older linker asks for each by itself, and ends the process where a
        # full address space leaves more than 2 GiB between code and its data (seen with several frameworks in one process).
        self._jit = binding.create_lljit_compiler(use_jit_link=True)
        builder = binding.JITLibraryBuilder()
        for item in objects:
            builder.add_object_img(item)
        builder.add_current_process()
        for name in exports:
            builder.export_symbol(name)
        self._tracker = builder.link(self._jit, f"onward{next(_libraries)}")

    def address(self, name: str) -> int:
        """The address of an exported function."""
        return int(self._tracker[name])


def load_object(data: bytes, exports: Sequence[str]) -> Library:
    """One piece of object code, loaded."""
    return Library([data], exports)

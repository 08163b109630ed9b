"""What code asks of the processor and the system that it runs on, beyond what every one of its family has."""

from __future__ import annotations

import ctypes
import functools
import os
import sys

from llvmlite import binding

from onward.errors import InvalidArgument

AMX = ("amx-tile", "amx-bf16", "amx-int8", "avx512bf16", "avx512vnni", "avx512fp16")
AVX2 = ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
AVX512 = (*AVX2, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
NEEDED = {"avx2": AVX2, "avxvnni": (*AVX2, "avxvnni"), "avx512": AVX512, "avx512bf16": (*AVX512, "avx512bf16"), "amx": AMX}
"""The features that code for a target takes for granted, as LLVM names them."""
ARCH_PRCTL = 158
"""The number of the system call on x86-64. Source: the kernel's system call table."""
REQUEST_STATE, TILE_DATA = 0x1023, 18
"""ARCH_REQ_XCOMP_PERM, and the tiles among the parts of a processor's state. Source: the kernel's Documentation/arch/x86/xstate.rst."""


@functools.cache
def prepare(target: str) -> None:
    """Makes the process ready to run code of a target. The tiles of AMX are the system's to grant: it is asked once, for all threads.

    Raises InvalidArgument where processor or system lack what the target takes for granted.
    """
    found = binding.get_host_cpu_features() if target in NEEDED else {}  # both what the processor says and what the system saves (XCR0)
    missing = [name for name in NEEDED.get(target, ()) if not found.get(name)]
    instead = "unset ONWARD_CPU, or choose another processor that this one can stand for"
    if missing:
        here = f"{binding.get_host_cpu_name()} lacks {', '.join(missing)}"
        raise InvalidArgument(f"ONWARD_CPU={target} needs a processor with {target.upper()}, and {here}; {instead}")
    if target != "amx":
        return
    if not sys.platform.startswith("linux"):
        raise InvalidArgument(f"ONWARD_CPU=amx runs on Linux alone so far, and this is {sys.platform}; {instead}")
    if ctypes.CDLL(None, use_errno=True).syscall(ARCH_PRCTL, REQUEST_STATE, TILE_DATA) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise InvalidArgument(f"ONWARD_CPU=amx: the system does not let this process use the tiles of AMX ({reason}); {instead}")

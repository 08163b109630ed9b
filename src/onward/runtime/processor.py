"""What code asks of the processor and the system that it runs on, beyond what every one of its family has."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys

from llvmlite import binding

from onward.errors import InvalidArgument

AMX = ("amx-tile", "amx-bf16", "amx-int8", "avx512bf16", "avx512vnni", "avx512fp16")
ARCH_PRCTL = 158
"""The number of the system call on x86-64. Source: the kernel's system call table."""
REQUEST_STATE, TILE_DATA = 0x1023, 18
"""ARCH_REQ_XCOMP_PERM, and the tiles among the parts of a processor's state. Source: the kernel's Documentation/arch/x86/xstate.rst."""


@functools.cache
def prepare(target: str) -> None:
    """Makes the process ready to run code of a target. The tiles of AMX are the system's to grant: it is asked once, for all threads.

    Raises InvalidArgument where processor or system lack what the target takes for granted.
    """
    if target != "amx":
        return
    instead = "unset ONWARD_CPU, or choose another processor that this one can stand for, such as avx512"
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        raise InvalidArgument(f"ONWARD_CPU=amx runs on Linux and x86-64 alone so far, and this is {sys.platform} on {platform.machine()}; {instead}")
    found = binding.get_host_cpu_features()  # both what the processor says and what the system saves (XCR0)
    missing = [name for name in AMX if not found.get(name)]
    if missing:
        raise InvalidArgument(f"ONWARD_CPU=amx needs a processor with AMX, and {binding.get_host_cpu_name()} lacks {', '.join(missing)}; {instead}")
    if ctypes.CDLL(None, use_errno=True).syscall(ARCH_PRCTL, REQUEST_STATE, TILE_DATA) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise InvalidArgument(f"ONWARD_CPU=amx: the system does not let this process use the tiles of AMX ({reason}); {instead}")

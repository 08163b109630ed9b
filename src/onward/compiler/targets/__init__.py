"""What a processor has, as far as code generation asks."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from llvmlite import binding

FIRST_LEVEL = Path("/sys/devices/system/cpu/cpu0/cache/index0/ways_of_associativity")


@dataclass(frozen=True)
class Target:
    """A processor: its LLVM triple, name and features, and what the schedules need to know."""

    name: str
    triple: str
    cpu: str
    features: str
    vector_bits: int
    vector_registers: int
    has_fma: bool
    has_masks: bool
    l1: int = 32 << 10
    l2: int = 1 << 20
    l1_lines: int = 8
    """Lines of a set of the first-level cache: as many as may lie a page apart without pushing each other out."""
    checked: bool = False
    """Whether every access to memory is compared with the ends of its buffer (ONWARD_CHECKED=1; see bounds.py)."""
    narrow: bool = False
    """Whether operands of products may be rounded to bfloat16 where that makes them faster (`CompileOptions.precision`)."""
    tiles: str = ""
    """Registers that hold a matrix: "amx", those that are "emulated" in memory, or none."""

    @property
    def has_float16(self) -> bool:
        """Whether there are conversions between float16 and float32."""
        return self.cpu in ("x86-64-v3", "x86-64-v4") or "+f16c" in self.features or not self.is_x86

    @property
    def has_bfloat16(self) -> bool:
        """Whether there is a conversion from float32 to bfloat16, for vectors of every length."""
        return "+avx512bf16" in self.features and "+avx512vl" in self.features

    @property
    def multiplies_bfloat16(self) -> bool:
        """Whether operands may be rounded to bfloat16, and vectors of pairs of them are multiplied faster than floats.

        AMD's processors take as long for both, so that pairs are twice as fast; Intel's take four times as long for pairs (`benchmarks/peaks.py`).
        """
        return self.narrow and self.has_bfloat16 and (self.name == "avx512bf16" or self.cpu.startswith("znver"))

    @property
    def is_x86(self) -> bool:
        """Whether it is of the x86 family, 32 or 64 bits."""
        return self.triple.startswith(("x86", "i386", "i686"))

    @property
    def byte_product(self) -> str:
        """How four products of bytes are summed: by one instruction ("dot"), by those for 16-bit pairs ("pairs"), or neither."""
        features = self.features.split(",")
        if self.is_x86:
            has_dot = "+avx512vnni" in features and "+avx512vl" in features or "+avxvnni" in features and self.vector_bits <= 256
            return "dot" if has_dot else "pairs"
        return "dot" if "+i8mm" in features else ""

    @classmethod
    def parse(cls, name: str | None) -> Target:
        """host, generic (the baseline of this architecture), avx2, avxvnni (avx2 with products of bytes), avx512, avx512bf16 (avx512 with
        products of bfloat16), amx or aarch64.

        None means ONWARD_CPU or host. aarch64 can be compiled for on every machine. amx is used where it is asked for, never as the host;
        amx-emulated is the host with the same kernels, whose tiles lie in memory, for tests. Any other name is the baseline.
        """
        name = name or os.environ.get("ONWARD_CPU") or "host"
        if os.environ.get("ONWARD_CHECKED") == "1":
            return replace(cls._parse(name), checked=True)
        return cls._parse(name)

    @classmethod
    def _parse(cls, name: str) -> Target:
        triple = binding.get_process_triple()
        is_arm = triple.startswith(("aarch64", "arm64"))
        if name == "amx-emulated":
            return replace(cls._parse("host"), name=name, tiles="emulated")
        if name == "aarch64" or is_arm:
            return cls._arm(name, triple if is_arm else "aarch64-unknown-linux-gnu")
        if name == "host":
            found = dict(binding.get_host_cpu_features())
            features = ",".join(("+" if on else "-") + key for key, on in sorted(found.items()))
            cpu, lines = binding.get_host_cpu_name(), _lines_of_a_set()
            if found.get("avx512f") and found.get("avx512vl"):
                return cls("avx512", triple, cpu, features, 512, 32, True, True, l1_lines=lines)
            if found.get("avx2") and found.get("fma"):
                return cls("avx2", triple, cpu, features, 256, 16, True, False, l1_lines=lines)
            return cls("generic", triple, "", "", 128, 16, False, False)
        if name == "avx512":
            return cls(name, triple, "x86-64-v4", "", 512, 32, True, True)
        if name == "avx512bf16":
            return cls(name, triple, "x86-64-v4", "+avx512bf16,+avx512vl", 512, 32, True, True)
        if name == "amx":
            features = "+avx512bf16,+avx512vl,+avx512vnni,+amx-tile,+amx-bf16,+amx-int8"
            return cls(name, triple, "sapphirerapids", features, 512, 32, True, True, 48 << 10, 2 << 20, 12, tiles="amx")
        if name == "avx2":
            return cls(name, triple, "x86-64-v3", "", 256, 16, True, False)
        if name == "avxvnni":
            return cls(name, triple, "x86-64-v3", "+avxvnni", 256, 16, True, False)
        return cls("generic", triple, "", "", 128, 16, False, False)

    @classmethod
    def _arm(cls, name: str, triple: str) -> Target:
        """64-bit ARM: 32 vector registers of 128 bits and fused multiplication, on every one of them."""
        if name != "host":
            return cls(name, triple, "generic", "", 128, 32, True, False)
        found = dict(binding.get_host_cpu_features())
        features = ",".join(("+" if on else "-") + key for key, on in sorted(found.items()))
        return cls("aarch64", triple, binding.get_host_cpu_name(), features, 128, 32, True, False)


def _lines_of_a_set() -> int:
    """Of the host's first-level data cache, where the system says so (Linux); eight, which few processors are below, elsewhere."""
    try:
        return int(FIRST_LEVEL.read_text())
    except (OSError, ValueError):
        return Target.l1_lines

"""LLVM IR text -> object code."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from llvmlite import binding

from onward.compiler.targets import Target
from onward.errors import CompileError

_ready = False


def _initialize() -> None:
    global _ready
    if not _ready:
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()
        _ready = True


def machine(target: Target) -> binding.TargetMachine:
    _initialize()
    return binding.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="default"
    )


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


def compile_modules(texts: Sequence[str], target: Target, processes: int = 0) -> list[bytes]:
    return [compile_module(text, target) for text in texts]


_libraries = itertools.count()


class Library:
    """Object code loaded into this process. `exports` are the functions that can be looked up; freed with the object."""

    def __init__(self, objects: Sequence[bytes], exports: Sequence[str]) -> None:
        _initialize()
        self._jit = binding.create_lljit_compiler()
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

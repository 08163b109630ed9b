"""LLVM IR text -> object code."""

from __future__ import annotations

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


class Library:
    """Loaded object code."""

    def __init__(self, objects: Sequence[bytes]) -> None:
        _initialize()
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        self._jit = binding.create_lljit_compiler()
        builder = binding.JITLibraryBuilder()
        for item in objects:
            builder.add_object_img(item)
        builder.add_current_process()
        self._builder = builder
        self._tracker = None
        self._names: dict[str, int] = {}

    def address(self, name: str) -> int:
        if self._tracker is None:
            self._builder.export_symbol(name)
            self._tracker = self._builder.link(self._jit, "onward")
        return self._tracker[name]


def load_object(data: bytes) -> Library:
    return Library([data])

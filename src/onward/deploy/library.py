"""From a model to a shared library that needs nothing but libc.

The library holds the object code of the kernels, the entry point and the support module (threads, errors), and a small
C file generated for the model: it owns memory and threads and gives every input and output a typed parameter.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from onward.compiler.artifact import Artifact, CompileOptions, as_bytes
from onward.compiler.driver import compile_model
from onward.compiler.native import compile_module
from onward.compiler.support import support_module
from onward.compiler.targets import Target
from onward.deploy.source import check_ports, header_text, weights_size, wrapper_text
from onward.errors import CompileError, InvalidArgument
from onward.ir import load


def build(
    model: Any, output_folder: str | os.PathLike[str], *, name: str | None = None, target: str | None = None,
    embed_weights: bool = False,
) -> list[Path]:  # fmt: skip
    """Writes `lib<name>.so` (or the system's form), `<name>.h` and, unless they are embedded, `<name>.weights`.

    `model` is whatever `onward.load` takes. `target` names a processor as for compilation; the library runs on the
    operating system it is built on. Linking uses the system's C compiler or the package ziglang (extra
    `onward[build]`). Files appear whole or not at all. Raises CompileError when there is no linker or it fails, and
    InvalidArgument for a name that is no C identifier or a model whose output sizes only the run knows.
    """
    loaded = load(model)
    chosen = name or _identifier(Path(loaded.path).stem if loaded.path else loaded.graph.name or "model")
    if not re.fullmatch(r"[A-Za-z_]\w*", chosen):
        raise InvalidArgument(f"'{chosen}' cannot name a library: expected a C identifier")
    if Target.parse(target).tiles == "amx":
        raise InvalidArgument("a library for amx would have to ask the system for tiles, which is not offered yet; choose another target, such as avx512")
    artifact = compile_model(loaded, CompileOptions(target=target))
    check_ports(artifact)
    folder = Path(output_folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as place:
        work = Path(place)
        made = _build_files(artifact, chosen, Target.parse(target), embed_weights, work)
        for path in made:
            os.replace(path, folder / path.name)
    return [folder / path.name for path in made]


def _identifier(text: str) -> str:
    cleaned = re.sub(r"\W", "_", text)
    return cleaned if cleaned and not cleaned[0].isdigit() else f"model_{cleaned}"


def _build_files(artifact: Artifact, name: str, target: Target, embed: bool, work: Path) -> list[Path]:
    objects = []
    for number, code in enumerate([*artifact.objects, compile_module(support_module(target), target)]):
        objects.append(work / f"part{number}.o")
        objects[-1].write_bytes(code)
    weights = work / f"{name}.weights"
    stamp = _write_weights(artifact, weights)
    header = work / f"{name}.h"
    header.write_text(header_text(artifact, name, embed))
    source = work / f"{name}.c"
    source.write_text(wrapper_text(artifact, name, stamp, weights if embed else None))
    library = work / _library_name(name)
    _link([source, *objects], library, name, work)
    return [library, header] if embed else [library, header, weights]


def _write_weights(artifact: Artifact, path: Path) -> bytes:
    """Writes the weights and, at their end, the stamp that ties them to this code; returns the stamp (32 bytes)."""
    digest = hashlib.sha256(b"".join(artifact.objects))
    with open(path, "wb") as file:
        for offset, make in artifact.weights:
            file.seek(offset)
            for part in make():
                data = as_bytes(part).data
                digest.update(data)
                file.write(data)
        file.seek(weights_size(artifact))
        file.write(digest.digest())
    return digest.digest()


def _library_name(name: str) -> str:
    return {"darwin": f"lib{name}.dylib", "win32": f"{name}.dll"}.get(sys.platform, f"lib{name}.so")


def compiler_command() -> list[str]:
    """The C compiler that links: $CC, cc, gcc, clang, or zig from the package ziglang. Raises CompileError for none."""
    for candidate in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if candidate and shutil.which(candidate):
            return [candidate]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise CompileError("building a library needs a C compiler; install one, or `pip install onward[build]`")


def _link(parts: list[Path], library: Path, name: str, work: Path) -> None:
    command = [*compiler_command(), "-shared", "-fPIC", "-O2", "-fvisibility=hidden", "-o", str(library), *map(str, parts)]
    if sys.platform == "darwin":
        exports = work / "exports.txt"
        exports.write_text(f"_{name}_*\n")
        command += [f"-Wl,-exported_symbols_list,{exports}", f"-Wl,-install_name,@rpath/{library.name}"]
    elif sys.platform != "win32":
        script = work / "exports.map"
        script.write_text(f"{{ global: {name}_*; local: *; }};\n")
        command += [f"-Wl,--version-script={script}", f"-Wl,-soname,{library.name}", "-Wl,-z,noexecstack", "-pthread"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise CompileError(f"linking {library.name} failed:\n{' '.join(command)}\n{result.stderr[-4000:]}")

"""The disk cache of compiled models: code and packed weights, found by content.

An entry is a folder `<key>/` with `artifact.json`, `code.bin` and `weights.bin`, written aside and renamed, so that
processes that start together see a whole entry or none. Weights are memory-mapped and shared by all processes. The key
is a hash of the model's content, the options, the target and the compiler's own source; the content hash of a file is
remembered by its path, size, time and inode, so that a second start does not read the weights.

`ONWARD_CACHE` names the folder ("off" disables the cache), `ONWARD_CACHE_SIZE` its cap in bytes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import llvmlite
import numpy as np

from onward.compiler.artifact import MOST_THREADS, Artifact, CompileOptions, KernelInfo, PortSpec
from onward.compiler.targets import Target
from onward.format.wire import encode_parts
from onward.ir import Model, load
from onward.ir.datatypes import DataType
from onward.ir.expressions import BinaryAtom, Dimension, Expression, Symbol, SymbolAtom, apply
from onward.ir.serialization import model_to_message
from onward.program.guards import Guard

DEFAULT_SIZE = 16 << 30
PIECE = 1 << 22
"""Bytes of a file that are hashed as one: those of all threads stay in a cache."""
SAMPLES, SAMPLE = 64, 1024
"""How many pieces of the weights are looked at before they are used, and the bytes of each."""


def folder() -> Path | None:
    """The cache's folder, or None when it is switched off."""
    setting = os.environ.get("ONWARD_CACHE", "")
    if setting.lower() in ("off", "0", "none"):
        return None
    if setting:
        return Path(setting)
    base = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if os.name == "nt" else None)
    return Path(base) / "onward" if base else Path.home() / ".cache" / "onward"


# -- keys -------------------------------------------------------------------------------------------------------------
def key_of(content: str, options: CompileOptions, target: Target) -> str:
    """The key of a model with this content hash, compiled like this."""
    parts = [content, json.dumps(asdict(options), sort_keys=True, default=list), repr(target), _compiler_hash()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


@functools.cache
def _compiler_hash() -> str:
    """Changes with every change of the package or of LLVM."""
    digest = hashlib.sha256(llvmlite.__version__.encode())
    for line in sorted(_sources(str(Path(__file__).parent.parent))):
        digest.update(line.encode())
    return digest.hexdigest()


def _sources(folder: str) -> Iterator[str]:
    """A line for each Python file: every session makes them, and `pathlib` would take three times as long."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _sources(entry.path)
            elif entry.name.endswith(".py"):
                status = entry.stat()
                yield f"{entry.path} {status.st_size} {status.st_mtime_ns}\n"


def content_of_file(path: Path) -> str:
    """What a model file and the external files it uses hold: a hash of the one, the identity of the others."""
    place = folder()
    memo = place / "files" / hashlib.sha256(_identity(path).encode()).hexdigest()[:40] if place else None
    digest, *locations = _remembered(memo) or _inspect(path, memo)
    return "\n".join([digest, *(_identity(path.parent / location) for location in locations)])


def content_of_model(model: Model) -> str:
    """The same for a model in memory."""
    digest = hashlib.sha256()
    for part in encode_parts(model_to_message(model)):
        digest.update(part)
    base = Path(model.path).parent if model.path is not None else Path()
    return "\n".join([digest.hexdigest(), *(_identity(base / name) for name in sorted(model.external_locations()))])


def _identity(path: Path) -> str:
    """Changes whenever the file is another or was written to."""
    try:
        status = path.stat()
    except OSError:  # whoever reads the file says what is wrong with it
        return f"{path.resolve()} missing"
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {status.st_ino}"


def _remembered(memo: Path | None) -> list[str] | None:
    try:
        saved = json.loads(memo.read_text()) if memo is not None else None
    except (OSError, ValueError):
        return None
    return saved if isinstance(saved, list) and saved and all(isinstance(item, str) for item in saved) else None


def _inspect(path: Path, memo: Path | None) -> list[str]:
    found = [_hash_of_file(path), *sorted(load(path).external_locations())]
    if memo is not None:
        _write_whole(memo, json.dumps(found).encode())
    return found


def _hash_of_file(path: Path) -> str:
    """A hash of the hashes of pieces, several of which are made at once."""

    def piece(start: int) -> bytes:
        with open(path, "rb") as file:
            file.seek(start)
            return hashlib.sha256(file.read(PIECE)).digest()

    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        digests = list(pool.map(piece, range(0, path.stat().st_size, PIECE)))
    return hashlib.sha256(b"".join(digests)).hexdigest()


# -- code that belongs to no model ------------------------------------------------------------------------------------
def code_of(name: str, target: Target, make: Callable[[], bytes]) -> bytes:
    """The object code kept under a name for a target; what `make` gives, which is kept from then on, where there is none or it is damaged."""
    place = folder()
    if place is None:
        return make()
    path = place / "files" / hashlib.sha256("\n".join([name, repr(target), _compiler_hash()]).encode()).hexdigest()[:40]
    try:
        saved = path.read_bytes()
    except OSError:
        saved = b""
    digest, code = saved[:32], saved[32:]
    if hashlib.sha256(code).digest() != digest:
        code = make()
        _write_whole(path, hashlib.sha256(code).digest() + code)
    return code


# -- entries ----------------------------------------------------------------------------------------------------------
def find(key: str) -> tuple[Artifact, np.ndarray] | None:
    """A compiled model and its mapped weights, or None. A damaged entry is removed."""
    place = folder()
    if place is None or not (place / key).is_dir():
        return None
    try:
        artifact, weights = _read(place / key)
        os.utime(place / key)
        return artifact, weights
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        shutil.rmtree(place / key, ignore_errors=True)
        return None


def store(key: str, artifact: Artifact) -> np.ndarray | None:
    """Writes an entry and returns its mapped weights; None when the cache is off or cannot be written."""
    place = folder()
    if place is None:
        return None
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)  # what lies here is executed
        temporary = Path(tempfile.mkdtemp(prefix="new-", dir=place))
        try:
            _write(temporary, artifact)
            weights = _map(temporary, artifact.weights_bytes)
            try:
                os.rename(temporary, place / key)
            except OSError:  # another process was first; what we have mapped stays until it is let go
                shutil.rmtree(temporary, ignore_errors=True)
            _trim(place, key)
            artifact.weights = []  # from now on they are mapped
            return weights
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError:
        return None


def _write(place: Path, artifact: Artifact) -> None:
    with open(place / "weights.bin", "wb") as file:
        file.truncate(artifact.weights_bytes + 64)

    def write(offset: int, piece: np.ndarray) -> None:
        with open(place / "weights.bin", "r+b") as file:
            file.seek(offset)
            file.write(piece.data)

    artifact.pack(write)
    code = b"".join(artifact.objects)  # compiled meanwhile
    (place / "code.bin").write_bytes(code)
    description = {
        "objects": [len(item) for item in artifact.objects],
        "code": hashlib.sha256(code).hexdigest(),
        "entry": artifact.entry,
        "inputs": [_port_out(port) for port in artifact.inputs],
        "outputs": [_port_out(port) for port in artifact.outputs],
        "symbols": artifact.symbols,
        "bound_symbols": artifact.bound_symbols,
        "arena_bytes": _out(artifact.arena_bytes),
        "weights_bytes": artifact.weights_bytes,
        "kernels": [[k.name, k.kind, list(k.origins), _out(k.flops), _out(k.bytes)] for k in artifact.kernels],
        "target": artifact.target,
        "metadata": artifact.metadata,
        "guards": [[_out(g.left), _out(g.right), g.or_one, g.message] for g in artifact.guards],
        "in_place": artifact.in_place,
    }
    description["sample"] = _sample(place)
    text = json.dumps(description)
    (place / "artifact.json").write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")


def _read(place: Path) -> tuple[Artifact, np.ndarray]:
    digest, _, description = (place / "artifact.json").read_text().partition("\n")
    if hashlib.sha256(description.encode()).hexdigest() != digest:
        raise ValueError("the description is damaged")
    text = json.loads(description)
    code = (place / "code.bin").read_bytes()
    if hashlib.sha256(code).hexdigest() != text["code"]:
        raise ValueError("the code is damaged")
    objects, position = [], 0
    for size in text["objects"]:
        objects.append(code[position : position + size])
        position += size
    weights = _map(place, text["weights_bytes"])
    if _sample(place) != text["sample"]:
        raise ValueError("the weights are damaged")
    artifact = Artifact(
        objects, text["entry"], [_port_in(port) for port in text["inputs"]], [_port_in(port) for port in text["outputs"]],
        text["symbols"], text["bound_symbols"], _in(text["arena_bytes"]), [], text["weights_bytes"],
        [KernelInfo(n, kind, tuple(origins), _in(flops), _in(size)) for n, kind, origins, flops, size in text["kernels"]],
        text["target"], text["metadata"],
        [Guard(_in(left), _in(right), or_one, message) for left, right, or_one, message in text["guards"]],
        [(source, target) for source, target in text["in_place"]],
    )  # fmt: skip
    return artifact, weights


def _map(place: Path, size: int) -> np.ndarray:
    with open(place / "weights.bin", "rb") as file:
        if os.fstat(file.fileno()).st_size != size + 64:
            raise ValueError("the weights are truncated")
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def _sample(place: Path) -> str:
    """A hash of 64 pieces spread over the weights: finds what a crash leaves behind without reading everything.

    They are read, as pages of a mapping would stay in memory with all that the system maps around them, whether a run needs it or not.
    """
    digest = hashlib.sha256()
    with open(place / "weights.bin", "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for number in range(SAMPLES):
            file.seek(max(0, size - SAMPLE) * number // (SAMPLES - 1))
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def _write_whole(path: Path, data: bytes) -> None:
    try:
        for place in (path.parent.parent, path.parent):  # what lies here is executed
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except OSError:
        return


def _trim(place: Path, keep: str) -> None:
    """Removes the entries used longest ago once the cache is above its cap.

    The file `total` says how many bytes there were after the last look at all entries, and what has been added since.
    """
    cap = int(os.environ.get("ONWARD_CACHE_SIZE") or DEFAULT_SIZE)
    record = place / "files" / "total"
    try:
        total = int(record.read_text()) + _size((place / keep).iterdir())
    except (OSError, ValueError):
        total = cap + 1
    if total > cap:
        total = _remove_oldest(place, keep, cap)
    _write_whole(record, str(total).encode())


def _remove_oldest(place: Path, keep: str, cap: int) -> int:
    """Down to the cap, and a tenth below it when there is anything to remove; gives the bytes that remain."""
    entries = []
    for item in place.glob("new-*"):  # what a process that was killed has left
        if item.stat().st_mtime < time.time() - 86400:
            shutil.rmtree(item, ignore_errors=True)
    for item in place.iterdir():
        if item.is_dir() and item.name not in (keep, "files") and not item.name.startswith("new-"):
            entries.append((item.stat().st_mtime, _size(item.iterdir()), item))
    total = sum(size for _, size, _ in entries) + _size((place / keep).iterdir())
    goal = cap if total <= cap else cap - cap // 10
    for _, size, item in sorted(entries, key=lambda entry: entry[0]):
        if total <= goal:
            break
        shutil.rmtree(item, ignore_errors=True)
        total -= size
    return total


def _size(files: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in files)


# -- dimensions as JSON -----------------------------------------------------------------------------------------------
def _port_out(port: PortSpec) -> list[Any]:
    return [port.name, int(port.dtype), [_out(extent) for extent in port.shape]]


def _port_in(item: list[Any]) -> PortSpec:
    return PortSpec(item[0], DataType(item[1]), tuple(_in(extent) for extent in item[2]))


def _out(dimension: Dimension) -> Any:
    if not isinstance(dimension, Expression):
        return dimension
    return [[number, [[_atom_out(atom), power] for atom, power in monomial]] for monomial, number in dimension.terms.items()]


def _atom_out(atom: Any) -> Any:
    if isinstance(atom, SymbolAtom):
        return atom.name
    assert isinstance(atom, BinaryAtom)
    return [atom.operation, _out(atom.left), _out(atom.right)]


def _in(item: Any) -> Dimension:
    if isinstance(item, int):
        return item
    total: Dimension = 0
    for number, factors in item:
        product: Dimension = number
        for atom, power in factors:
            value = Symbol(atom) if isinstance(atom, str) else apply(atom[0], _in(atom[1]), _in(atom[2]))
            for _ in range(power):
                product = product * value
        total = total + product
    return total

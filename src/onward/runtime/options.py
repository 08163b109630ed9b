"""The options and descriptions of a session, with the names that onnxruntime gave them."""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from onward.compiler.artifact import PRECISIONS
from onward.compiler.support import PATIENCE
from onward.errors import InvalidArgument, RunError, Terminated

PRECISION_ENTRY = "onward.precision"
"""The session configuration entry for `CompileOptions.precision`."""


class GraphOptimizationLevel(IntEnum):
    """How much the graph is rewritten. ORT_DISABLE_ALL compiles it as it stands; all others optimise."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(IntEnum):
    """Kernels run one after another; both values mean that here."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(IntEnum):
    """Accepted for compatibility; the order is the compiler's."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


@dataclass
class SessionOptions:
    """How a session is made.

    `intra_op_num_threads` is the number of threads of a run (0: as many as there are cores to use). The session
    configuration entries `session.intra_op.allow_spinning` ("0" lets workers sleep at once) and
    `session.intra_op.spin_duration_us` are obeyed, and so is `onward.loop_limit` (the most turns that a loop may take,
    after which a run fails; without it only `RunOptions.terminate` ends a loop without end) and `onward.precision` (`float32`, or
    `bfloat16`: operands of products of float32 may be rounded to it); other entries are kept and have no effect. Fields about memory arenas
    and execution order are accepted: the arena is always planned and reused.
    """

    enable_cpu_mem_arena: bool = True
    enable_mem_pattern: bool = True
    enable_mem_reuse: bool = True
    enable_profiling: bool = False
    execution_mode: ExecutionMode = ExecutionMode.ORT_SEQUENTIAL
    execution_order: ExecutionOrder = ExecutionOrder.DEFAULT
    graph_optimization_level: GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL
    inter_op_num_threads: int = 0
    intra_op_num_threads: int = 0
    log_severity_level: int = -1
    log_verbosity_level: int = 0
    logid: str = ""
    optimized_model_filepath: str = ""
    profile_file_prefix: str = "onnxruntime_profile_"
    use_deterministic_compute: bool = True
    use_per_session_threads: bool = True
    _entries: dict[str, str] = field(default_factory=dict)
    _by_name: dict[str, int] = field(default_factory=dict)
    _by_denotation: dict[str, int] = field(default_factory=dict)
    _initializers: dict[str, Any] = field(default_factory=dict)

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dataclass_fields__
        if name not in fields:
            raise AttributeError(f"SessionOptions has no field '{name}'; it has {', '.join(f for f in fields if f[0] != '_')}")
        expected = type(fields[name].default)
        if expected is int and not isinstance(value, int):
            value = operator.index(value)  # NumPy integers are integers; anything else is a TypeError
        if expected in (bool, str) and not isinstance(value, expected):
            raise TypeError(f"SessionOptions.{name} is a {expected.__name__}, got {value!r}")
        object.__setattr__(self, name, value)

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Sets a configuration entry."""
        self._entries[str(key)] = str(value)

    def get_session_config_entry(self, key: str) -> str:
        """A configuration entry. Raises InvalidArgument when it was not set."""
        if key not in self._entries:
            raise InvalidArgument(f"there is no session configuration entry '{key}'")
        return self._entries[key]

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        """Fixes a named dimension of the inputs."""
        self._by_name[name] = int(size)

    def add_free_dimension_override_by_denotation(self, denotation: str, size: int) -> None:
        """Fixes the dimensions of the inputs with this denotation."""
        self._by_denotation[denotation] = int(size)

    def add_initializer(self, name: str, value: Any) -> None:
        """Gives the data of an initialiser in place of the file's."""
        self._initializers[name] = value

    def add_external_initializers(self, names: Sequence[str], values: Sequence[Any]) -> None:
        """Gives the data of several initialisers."""
        for name, value in zip(names, values, strict=True):
            self.add_initializer(name, value)

    def add_provider(self, provider: str, options: Any = None) -> None:
        """Accepted for compatibility: the processor is the one provider."""

    def has_providers(self) -> bool:
        """Whether providers were added."""
        return False

    def register_custom_ops_library(self, path: str) -> None:
        """Libraries of compiled operators cannot be used: operators are compiled from definitions."""
        raise InvalidArgument(f"'{path}': custom operator libraries hold machine code of another runtime and cannot be loaded")

    def overrides(self) -> dict[str, int]:
        """The fixed dimensions by name."""
        return dict(self._by_name)

    def denotation_overrides(self) -> dict[str, int]:
        """The fixed dimensions by denotation."""
        return dict(self._by_denotation)

    def initializers(self) -> dict[str, Any]:
        """The data given for initialisers."""
        return dict(self._initializers)

    def changes_model(self) -> bool:
        """Whether the model that is compiled differs from the model that was given."""
        return bool(self._by_name or self._by_denotation or self._initializers)

    def loop_limit(self) -> int | None:
        """The most turns of a loop, None without a limit. Raises InvalidArgument for nonsense."""
        limit = self._entries.get("onward.loop_limit")
        if limit is not None and not limit.isdecimal():
            raise InvalidArgument(f"onward.loop_limit is '{limit}', expected a number of turns")
        return None if limit is None else int(limit)

    def precision(self) -> str:
        """What operands of products may be rounded to: one of PRECISIONS. Raises InvalidArgument for anything else."""
        name = self._entries.get(PRECISION_ENTRY, PRECISIONS[0])
        if name not in PRECISIONS:
            raise InvalidArgument(f"{PRECISION_ENTRY} is '{name}', expected {' or '.join(PRECISIONS)}")
        return name

    def with_precision(self, name: str) -> SessionOptions:
        """A copy with another precision."""
        result = copy.copy(self)
        object.__setattr__(result, "_entries", {**self._entries, PRECISION_ENTRY: str(name)})
        return result

    def patience(self) -> int:
        """For how many nanoseconds workers look for work before they sleep. Raises InvalidArgument for nonsense."""
        if self._entries.get("session.intra_op.allow_spinning") == "0":
            return 0
        duration = self._entries.get("session.intra_op.spin_duration_us")
        if duration is None:
            return PATIENCE
        if not duration.isdecimal():
            raise InvalidArgument(f"session.intra_op.spin_duration_us is '{duration}', expected microseconds")
        return int(duration) * 1000


class RunLimits:
    """What ends a run before its time: the caller's wish, or a loop of too many turns."""

    def __init__(self, options: RunOptions | None, most_turns: int | None) -> None:
        self._options = options
        self._most_turns = most_turns
        self.stop_address = options.stop_address if options is not None else 0

    def check(self) -> None:
        """Raises Terminated once the run is to stop."""
        if self._options is not None and self._options.terminate:
            raise Terminated("the run was stopped on request")

    def turn(self, number: int, name: str) -> None:
        """Called before each turn of a loop. Raises Terminated, or RunError beyond the limit of turns."""
        self.check()
        if self._most_turns is not None and number >= self._most_turns:
            raise RunError(f"node '{name}': the loop took more than {self._most_turns} turns, the limit onward.loop_limit")


class RunOptions:
    """Options of one run. Setting `terminate`, from any thread, stops the runs that use these options."""

    def __init__(self) -> None:
        self.log_severity_level = -1
        self.log_verbosity_level = 0
        self.logid = ""
        self.only_execute_path_to_fetches = False
        self._stop = np.zeros(1, np.int64)
        self._entries: dict[str, str] = {}

    @property
    def terminate(self) -> bool:
        """Whether runs with these options shall stop. Native code looks at it between kernels."""
        return bool(self._stop[0])

    @terminate.setter
    def terminate(self, value: bool) -> None:
        self._stop[0] = bool(value)

    @property
    def stop_address(self) -> int:
        """Where native code looks."""
        return int(self._stop.ctypes.data)

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Sets a configuration entry."""
        self._entries[key] = value

    def get_run_config_entry(self, key: str) -> str:
        """A configuration entry. Raises InvalidArgument when it was not set."""
        if key not in self._entries:
            raise InvalidArgument(f"there is no run configuration entry '{key}'")
        return self._entries[key]


@dataclass(frozen=True)
class NodeArg:
    """An input or output: name, type such as tensor(float), shape of ints, names and None."""

    name: str
    type: str
    shape: list[Any]

    def __str__(self) -> str:
        return f"NodeArg(name='{self.name}', type='{self.type}', shape={self.shape})"


@dataclass
class ModelMetadata:
    """What a model says of itself."""

    producer_name: str = ""
    graph_name: str = ""
    domain: str = ""
    description: str = ""
    graph_description: str = ""
    version: int = 0
    custom_metadata_map: dict[str, str] = field(default_factory=dict)

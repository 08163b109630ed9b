"""InferenceSession: a model, compiled and ready, behind the interface that users of onnxruntime know."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onward.compiler.artifact import Artifact, CompileOptions
from onward.compiler.targets import Target
from onward.errors import InvalidArgument, InvalidInput, NoSuchFile, OnwardError, UnsupportedOperator
from onward.ir import Model, OptionalType, SequenceType, TensorType, Value, load
from onward.ir.datatypes import DataType
from onward.ir.expressions import Expression
from onward.ir.serialization import dimension_text
from onward.operators.schema import known_domains, newest_opset, type_string
from onward.runtime import cache, garbage, processor
from onward.runtime.executable import Call, Executable, GuardFailed
from onward.runtime.feeds import convert_feed
from onward.runtime.options import (
    GraphOptimizationLevel,
    ModelMetadata,
    NodeArg,
    RunLimits,
    RunOptions,
    SessionOptions,
)
from onward.runtime.preparation import prepare
from onward.runtime.values import IOBinding, OrtValue, keep_apart

if TYPE_CHECKING:
    from onward.operators import Program
    from onward.runtime.staging import StagedModel

PROVIDER = "CPUExecutionProvider"
SLOW_COMPILE = 2.0
"""Seconds after which a terminal is told that compilation is under way."""


class InferenceSession:
    """Runs a model.

    `path_or_bytes` is a path, bytes, an `onward.Model` or an object with SerializeToString. `sess_options` and
    `providers` are as in onnxruntime; the only provider is the CPU. `precision` is the session configuration entry
    `onward.precision` in another form. Sessions can be used from many threads at once,
    pickled, and are freed with the last reference.

    Raises NoSuchFile, FormatError, InvalidGraph, UnsupportedOperator or InferenceError, each naming what is wrong.
    """

    def __init__(
        self,
        path_or_bytes: Any,
        sess_options: SessionOptions | None = None,
        providers: Sequence[Any] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        *,
        precision: str | None = None,
        **kwargs: Any,
    ) -> None:
        _check_providers(providers)
        self._source = path_or_bytes
        if sess_options is not None and not isinstance(sess_options, SessionOptions):
            raise InvalidArgument(f"sess_options is a {type(sess_options).__module__}.{type(sess_options).__name__}; expected onward's SessionOptions")
        self._options = sess_options or SessionOptions()
        if precision is not None:
            self._options = self._options.with_precision(precision)
        self._disabled = tuple(kwargs.get("disabled_optimizers") or ())
        self._started = time.time_ns()
        self._load()
        self._profile: list[dict[str, Any]] | None = [] if self._options.enable_profiling else None
        self._inputs = {item.name: position for position, item in enumerate(self._input_args)}
        self._outputs = [item.name for item in self._output_args]
        self._overridable = frozenset(self._metadata.get("overridable", []))
        self._variants: dict[frozenset[str], InferenceSession] = {}
        self._other_sizes: StagedModel | None = None
        self._lock = threading.Lock()
        self._output_index = {name: position for position, name in enumerate(self._outputs)}

    # -- making ------------------------------------------------------------------------------------------------
    def _load(self) -> None:
        source, options = self._source, self._options
        path = Path(source) if isinstance(source, (str, os.PathLike)) else None
        if path is not None and not path.is_file():
            raise NoSuchFile(f"there is no model file '{path}'")
        target = Target.parse(None)
        processor.prepare(target.name)
        compile_options = CompileOptions(
            profile=options.enable_profiling,
            optimize=options.graph_optimization_level != GraphOptimizationLevel.ORT_DISABLE_ALL,
            disabled_passes=self._disabled,
            precision=options.precision(),
        )
        model: Model | None = None
        if path is not None and not options.changes_model():
            content = cache.content_of_file(path)
        else:
            model = prepare(load(source), options)
            content = cache.content_of_model(model) if cache.folder() else ""
        self._code = _Code(content, compile_options, target, options)
        self._stages: StagedModel | None = None
        found = self._code.find("")
        if found is None:
            model = model if model is not None else load(source)
            try:
                with garbage.collected_late():
                    found = self._compile(model)
            except UnsupportedOperator as problem:
                self._stages = self._staged(model, problem)
        if found is not None:
            self._executable, self._artifact = found, found.artifact
            self._kinds = [port.dtype.numpy for port in found.artifact.inputs]
            self._metadata = found.artifact.metadata
            self._input_args = [_node_arg(port.name, port.dtype, port.shape) for port in found.artifact.inputs]
            self._output_args = [_node_arg(port.name, port.dtype, port.shape) for port in found.artifact.outputs]
        if options.optimized_model_filepath:
            self._write_optimized(model if model is not None else load(source))
        if model is not None and found is not None:
            del model
            garbage.release(found.artifact.weights_bytes, len(found.artifact.kernels))

    def _compile(self, model: Model) -> Executable:
        from onward.compiler.driver import compile_model

        _check_versions(model)
        ordered = model.copy()
        ordered.graph.topological_sort()  # refuses cycles; files whose nodes stand in another order are fine
        with _Notice(model):
            artifact = compile_model(ordered, self._code.options)
            artifact.metadata = _describe(model)
            return self._code.keep("", artifact)

    def _staged(self, model: Model, problem: OnwardError) -> StagedModel:
        """The model in stages, because of a problem that compiling it as a whole has met; raised where no page helps."""
        from onward import operators, passes
        from onward.runtime.staging import StagedModel

        if operators.unsupported_operators(model):
            raise problem
        operators.check(model, shapes=False)
        self._metadata = _describe(model)
        self._input_args = [_declared(value) for value in model.graph.inputs if value.tensor is None]
        self._output_args = [_declared(value) for value in model.graph.outputs]
        model = model.copy()
        model.graph.topological_sort()
        if self._code.options.optimize:
            model = passes.optimize(model, disable=self._code.options.disabled_passes, native=True)
        return StagedModel(model, self._code.compile)

    def _write_optimized(self, model: Model) -> None:
        from onward import passes
        from onward.ir import save

        save(passes.optimize(model), self._options.optimized_model_filepath)

    # -- running -----------------------------------------------------------------------------------------------
    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: RunOptions | None = None) -> list[Any]:
        """The outputs named (all for None), for arrays by input name.

        Raises InvalidInput for a missing, unknown or wrong feed, InvalidArgument for an unknown output, and RunError
        (IndexOutOfBounds, Terminated) for what goes wrong on the way.
        """
        if self._overridable and not self._overridable.isdisjoint(input_feed):
            return self._variant(frozenset(self._overridable.intersection(input_feed))).run(output_names, input_feed, run_options)
        if self._stages is not None:
            results = self._run_staged(self._stages, input_feed, run_options)
            return results if output_names is None else self._selected(results, output_names)
        arrays: list[Any] = [None] * len(self._kinds)
        inputs, kinds, fed = self._inputs, self._kinds, 0
        for name, value in input_feed.items():
            position = inputs.get(name)
            if position is None:
                self._unknown_input(name)
            elif value is None:
                continue
            elif type(value) is np.ndarray and value.dtype == kinds[position] and value.flags.c_contiguous:
                arrays[position] = value
            else:
                arrays[position] = self._convert(position, value)
            fed += 1
        if fed < len(kinds):
            self._check_missing(arrays)
        if self._profile is None:
            try:
                results = self._executable.run(arrays, stop=run_options.stop_address if run_options is not None else 0)
            except GuardFailed as problem:
                results = self._run_other_sizes(problem, dict(zip(inputs, arrays)), run_options)
        else:
            results = self._run_profiled(arrays)
        return results if output_names is None else self._selected(results, output_names)

    def _selected(self, results: list[Any], output_names: Sequence[str]) -> list[Any]:
        if isinstance(output_names, str):
            raise InvalidArgument(f"output_names is the string '{output_names}'; expected a list of names or None")
        return [results[self._output_position(name)] for name in output_names or self._outputs]

    def _run_staged(self, stages: StagedModel, feeds: Mapping[str, Any], run_options: RunOptions | None) -> list[Any]:
        declared = {value.name: value for value in stages.model.graph.inputs}
        for name in feeds:
            if name not in self._inputs:
                self._unknown_input(name)
        missing = [name for name in self._inputs if name not in feeds]
        if missing:
            raise InvalidInput(f"required inputs {missing} are missing from the feed; expected {list(self._inputs)}")
        given = {name: convert_feed(declared[name], value) for name, value in feeds.items()}
        return stages.run(given, RunLimits(run_options, self._options.loop_limit()))

    def _run_other_sizes(self, problem: GuardFailed, feeds: Mapping[str, np.ndarray], run_options: RunOptions | None) -> list[Any]:
        """A run with sizes that the compiled code does not foresee: compiled for these very shapes, if they fit at all."""
        with self._lock:
            if self._other_sizes is None:
                self._other_sizes = self._staged(prepare(load(self._source), self._options), problem)
        try:
            return self._run_staged(self._other_sizes, feeds, run_options)
        except OnwardError:
            raise problem from None

    def _variant(self, fed: frozenset[str]) -> InferenceSession:
        """A session in which these initialisers are inputs; made when they are first fed."""
        if fed not in self._variants:
            model = load(self._source).copy()
            for name in fed:
                model.graph.initializers.pop(name).tensor = None
            self._variants[fed] = InferenceSession(model, self._options)
        return self._variants[fed]

    def _output_position(self, name: str) -> int:
        if name not in self._output_index:
            raise InvalidArgument(f"there is no output '{name}'; the model has {', '.join(self._outputs)}")
        return self._output_index[name]

    def _unknown_input(self, name: str) -> None:
        raise InvalidInput(f"there is no input '{name}'; the model has {', '.join(self._inputs)}")

    def _check_missing(self, arrays: Sequence[Any]) -> None:
        missing = [port.name for port, array in zip(self._artifact.inputs, arrays) if array is None]
        if missing:
            raise InvalidInput(f"required inputs {missing} are missing from the feed; expected {list(self._inputs)}")

    def _convert(self, position: int, value: Any) -> np.ndarray:
        """What is not already a contiguous array of the right dtype, if that can be done without changing a value."""
        port, kind = self._artifact.inputs[position], self._kinds[position]
        if isinstance(value, OrtValue):
            value = value.numpy()
        if not isinstance(value, (np.ndarray, np.generic)):
            if not isinstance(value, (list, tuple, int, float, bool)):
                raise InvalidInput(f"input '{port.name}' is a {type(value).__name__}; expected a NumPy array of {kind}")
            value = np.asarray(value, kind)
        array = np.asarray(value)
        if array.dtype != kind:
            if array.dtype.newbyteorder("=") == kind:
                array = array.astype(kind)
            else:
                raise InvalidInput(f"input '{port.name}' has dtype {array.dtype}, expected {kind} (tensor({type_name(port.dtype)})); convert it with .astype")
        return array if array.flags.c_contiguous else array.copy(order="C")

    def _run_profiled(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        begin = time.perf_counter_ns()
        times: list[tuple[int, int]] = []
        results = self._executable.run(arrays, profile=times)
        end = time.perf_counter_ns()
        assert self._profile is not None
        first = times[0][0] if times else 0
        self._profile.append(_event("model_run", "Session", begin, end - begin, {}))
        for kernel, (start, stop) in zip(self._artifact.kernels, times):
            arguments = {"op_name": kernel.kind, "origins": list(kernel.origins), "provider": PROVIDER}
            self._profile.append(_event(kernel.name, "Node", begin + start - first, stop - start, arguments))
        return results

    def run_with_ort_values(
        self, output_names: Sequence[str] | None, input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:  # fmt: skip
        """The same as `run`, with OrtValues in and out."""
        feeds = {name: value.numpy() for name, value in input_dict_ort_values.items()}
        return [OrtValue(result) for result in self.run(output_names, feeds, run_options)]

    def run_async(self, output_names: Any, input_feed: Any, callback: Any, user_data: Any, run_options: Any = None) -> None:
        """Runs on another thread and calls `callback(results, user_data, error)`."""

        def work() -> None:
            try:
                callback(self.run(output_names, input_feed, run_options), user_data, "")
            except Exception as problem:  # the error goes to whoever asked
                callback([], user_data, str(problem))

        threading.Thread(target=work, daemon=True).start()

    def io_binding(self) -> IOBinding:
        """A binding of inputs and outputs to memory of the caller."""
        return IOBinding(self)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: RunOptions | None = None) -> None:
        """Runs on bound inputs, into bound outputs.

        A cache that TensorScatter writes to is written in place where it is bound as the input and as the output; any other input that
        shares memory with an output is copied before. Raises InvalidArgument for outputs that share memory.
        """
        if self._stages is not None:
            iobinding.finish(self._outputs, self._run_staged(self._stages, iobinding.feeds(), run_options))
            return
        call = iobinding.call(self._executable) or self._bound(iobinding)
        stop = run_options.stop_address if run_options is not None else 0
        iobinding.finish(self._outputs, self._executable.call(call, stop=stop))

    def _bound(self, iobinding: IOBinding) -> Call:
        """What runs with a binding do alike, for as long as nothing else is bound and no input has to be copied."""
        feeds = iobinding.feeds()
        arrays: list[Any] = [None] * len(self._kinds)
        for name, value in feeds.items():
            if name not in self._inputs:
                self._unknown_input(name)
            arrays[self._inputs[name]] = self._convert(self._inputs[name], value)
        self._check_missing(arrays)
        given = [iobinding.target(name) for name in self._outputs]
        fitting = [self._fitting(index, array, arrays) for index, array in enumerate(given)]
        keep_apart(arrays, dict(zip(self._outputs, fitting)), self._artifact.in_place)
        call = self._executable.prepared(arrays, fitting)
        if all(arrays[self._inputs[name]] is value for name, value in feeds.items()):
            iobinding.keep(self._executable, call)
        return call

    def _fitting(self, index: int, array: np.ndarray | None, inputs: Sequence[np.ndarray]) -> np.ndarray | None:
        """A bound output, if it has exactly the shape and dtype that the run gives, or may have them."""
        if array is None:
            return None
        port = self._artifact.outputs[index]
        shape = self._executable.plan(inputs).outputs[index]
        if array.dtype != port.dtype.numpy or shape is not None and array.shape != shape:
            raise InvalidArgument(f"output '{port.name}' is bound to {array.dtype}{list(array.shape)}, but the run gives {port.dtype.numpy}{list(shape or ())}")
        return array if array.flags.c_contiguous else None

    # -- what is known of the model ----------------------------------------------------------------------------
    def get_inputs(self) -> list[NodeArg]:
        """Name, type and shape of each input."""
        return list(self._input_args)

    def get_outputs(self) -> list[NodeArg]:
        """Name, type and shape of each output."""
        return list(self._output_args)

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Initialisers that are inputs too."""
        return [NodeArg(name, kind, shape) for name, kind, shape in self._metadata.get("overridable_args", [])]

    def get_modelmeta(self) -> ModelMetadata:
        """Who made the model and what it says of itself."""
        return ModelMetadata(**self._metadata.get("modelmeta", {}))

    def get_providers(self) -> list[str]:
        """The CPU."""
        return [PROVIDER]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """No options."""
        return {PROVIDER: {}}

    def set_providers(self, providers: Sequence[Any] | None = None, provider_options: Any = None) -> None:
        """Accepts the CPU alone."""
        _check_providers(providers)

    def get_session_options(self) -> SessionOptions:
        """The options the session was made with."""
        return self._options

    def enable_fallback(self) -> None:
        """There is one provider and nothing to fall back to."""

    def disable_fallback(self) -> None:
        """There is one provider and nothing to fall back to."""

    def get_profiling_start_time_ns(self) -> int:
        """When profiling began, nanoseconds since 1970."""
        return self._started

    def end_profiling(self) -> str:
        """Writes the profile as a Chrome trace and returns its file name; "" when profiling was not enabled."""
        if self._profile is None:
            return ""
        prefix = self._options.profile_file_prefix or "onnxruntime_profile_"
        name = f"{prefix}_{time.strftime('%Y-%m-%d_%H-%M-%S')}.json"
        with tempfile.NamedTemporaryFile("w", dir=Path(name).parent, delete=False, suffix=".json") as file:
            json.dump(self._profile, file)
        os.replace(file.name, name)
        self._profile = None
        return name

    @property
    def artifact(self) -> Artifact:
        """What was compiled. Raises InvalidArgument for a model that runs in stages."""
        self._check_whole()
        return self._artifact

    @property
    def executable(self) -> Executable:
        """The machine code. Raises InvalidArgument for a model that runs in stages."""
        self._check_whole()
        return self._executable

    @property
    def runs_in_stages(self) -> bool:
        """Whether the model is more than one native function: it handles text or sequences, or sizes that depend on data."""
        return self._stages is not None

    def _check_whole(self) -> None:
        if self._stages is not None:
            raise InvalidArgument("the model runs in stages, so there is no single piece of machine code for it")

    def __getstate__(self) -> dict[str, Any]:
        source = self._source
        if not isinstance(source, (str, os.PathLike, bytes)):
            source = load(source).to_bytes()
        return {"source": source, "options": self._options, "disabled": self._disabled}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["source"], state["options"], disabled_optimizers=state["disabled"])  # type: ignore[misc]


class _Code:
    """Where the machine code of a session comes from: the disk cache or the compiler."""

    def __init__(self, content: str, options: CompileOptions, target: Target, session: SessionOptions) -> None:
        self.content, self.options, self.target, self.session = content, options, target, session

    def _key(self, part: str) -> str:
        return cache.key_of(f"{self.content}\n{part}" if part else self.content, self.options, self.target)

    def _executable(self, artifact: Artifact, weights: np.ndarray | None) -> Executable:
        return Executable(
            artifact,
            weights,
            threads=self.session.intra_op_num_threads,
            patience=self.session.patience(),
            most_turns=self.session.loop_limit() or 0,
        )

    def find(self, part: str) -> Executable | None:
        """The code of a part of the model ("" for the whole), if it is in the cache."""
        found = cache.find(self._key(part)) if self.content else None
        return self._executable(*found) if found is not None else None

    def keep(self, part: str, artifact: Artifact) -> Executable:
        """New code, which is stored in the cache."""
        return self._executable(artifact, cache.store(self._key(part), artifact) if self.content else None)

    def compile(self, program: Program, part: str) -> Executable:
        """The code of a program that is a part of the model."""
        from onward.compiler.driver import compile_program

        return self.find(part) or self.keep(part, compile_program(program, self.options))


def _check_versions(model: Model) -> None:
    """Refuses operator sets of the future, whose operators may mean something else."""
    for domain, version in model.opset_imports.items():
        name = "" if domain == "ai.onnx" else domain
        if name in known_domains() and version > newest_opset(name):
            raise UnsupportedOperator(f"the model imports version {version} of {domain or 'ai.onnx'}; versions up to {newest_opset(name)} are known")


class _Notice:
    """Tells a person at a terminal about a compilation that takes long."""

    def __init__(self, model: Model) -> None:
        self.name = model.graph.name or "model"

    def __enter__(self) -> None:
        self.timer = threading.Timer(SLOW_COMPILE, self._tell)
        self.timer.daemon = True
        if sys.stderr.isatty():
            self.timer.start()

    def _tell(self) -> None:
        print(f"onward: compiling '{self.name}' for this processor; the next start will be fast", file=sys.stderr)

    def __exit__(self, *details: object) -> None:
        self.timer.cancel()


def type_name(dtype: DataType) -> str:
    """The name of an element type as onnxruntime writes it."""
    return dtype.name.lower()


def _node_arg(name: str, dtype: DataType, shape: Sequence[Any]) -> NodeArg:
    extents = [dimension_text(extent) if isinstance(extent, Expression) else extent for extent in shape]
    # Extents without a name in the file have been given one of ours, which holds a dot: they are shown as unknown.
    return NodeArg(name, f"tensor({type_name(dtype)})", [None if isinstance(e, str) and "." in e else e for e in extents])


def _declared(value: Value) -> NodeArg:
    """An input or output of any type, as the model declares it."""
    kind = value.type
    while isinstance(kind, (SequenceType, OptionalType)):
        kind = kind.element
    shape = (kind.shape or ()) if isinstance(kind, TensorType) else ()
    extents = [dimension_text(extent) if isinstance(extent, Expression) else extent for extent in shape]
    return NodeArg(value.name, type_string(value.type) or "", extents)


def _check_providers(providers: Sequence[Any] | None) -> None:
    for item in providers or ():
        name = item[0] if isinstance(item, tuple) else item
        if not isinstance(name, str):
            raise InvalidArgument(f"a provider is a name or a pair of a name and options, got {item!r}")


def _describe(model: Model) -> dict[str, Any]:
    """What a session answers about the model without its file."""
    overridable = [value for value in model.graph.inputs if value.tensor is not None]
    return {
        "modelmeta": {
            "producer_name": model.producer_name,
            "graph_name": model.graph.name,
            "domain": model.domain,
            "description": model.doc_string,
            "graph_description": model.graph.doc_string,
            "version": model.model_version,
            "custom_metadata_map": dict(model.metadata),
        },
        "overridable": [value.name for value in overridable],
        "overridable_args": [
            [value.name, f"tensor({type_name(value.tensor.dtype)})", list(value.tensor.shape)] for value in overridable if value.tensor is not None
        ],
    }


def _event(name: str, category: str, begin: int, duration: int, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "cat": category, "pid": os.getpid(), "tid": 0, "dur": max(0, duration) // 1000, "ts": begin // 1000, "ph": "X",
        "name": name, "args": arguments,
    }  # fmt: skip

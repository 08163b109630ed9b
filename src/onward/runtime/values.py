"""OrtValue and IOBinding: data that a caller keeps from run to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.runtime.addresses import data_address

if TYPE_CHECKING:
    from onward.runtime.executable import Call, Executable
    from onward.runtime.session import InferenceSession


class OrtDevice:
    """The processor's memory."""

    def __init__(self, name: str = "cpu", index: int = 0) -> None:
        self._name, self._index = name, index

    @staticmethod
    def make(name: str, index: int) -> OrtDevice:
        """A device by name; only cpu exists."""
        if name.lower() != "cpu":
            raise InvalidArgument(f"device '{name}' is not available; expected 'cpu'")
        return OrtDevice(name.lower(), index)

    def device_type(self) -> str:
        """cpu"""
        return self._name

    def device_id(self) -> int:
        """0"""
        return self._index


class OrtValue:
    """A tensor in memory of the caller. Made without a copy where the array is contiguous."""

    def __init__(self, array: Any) -> None:
        self._array = np.asarray(array)

    @staticmethod
    def ortvalue_from_numpy(array: np.ndarray, device_type: str = "cpu", device_id: int = 0) -> OrtValue:
        """An OrtValue over an array."""
        OrtDevice.make(device_type, device_id)
        return OrtValue(np.ascontiguousarray(array))

    @staticmethod
    def ortvalue_from_numpy_with_onnx_type(array: np.ndarray, onnx_element_type: int) -> OrtValue:
        """An OrtValue over an array whose bytes are of the given ONNX type (for types that NumPy lacks)."""
        kind = DataType(onnx_element_type).numpy
        if np.asarray(array).dtype.itemsize != kind.itemsize:
            raise InvalidArgument(f"an array of {array.dtype} does not have the element size of {DataType(onnx_element_type).name}")
        return OrtValue(np.ascontiguousarray(array).view(kind))

    @staticmethod
    def ortvalue_from_shape_and_type(shape: Sequence[int], element_type: Any, device_type: str = "cpu", device_id: int = 0) -> OrtValue:
        """An OrtValue with memory of its own, not initialised."""
        OrtDevice.make(device_type, device_id)
        kind = DataType(element_type).numpy if isinstance(element_type, int) else np.dtype(element_type)
        return OrtValue(np.empty(tuple(shape), kind))

    @staticmethod
    def from_dlpack(data: Any, is_bool_tensor: bool = False) -> OrtValue:
        """An OrtValue over memory of another library (anything with __dlpack__)."""
        array = np.from_dlpack(data)
        return OrtValue(array.view(np.bool_) if is_bool_tensor and array.dtype == np.uint8 else array)

    def __dlpack__(self, **arguments: Any) -> Any:
        return self._array.__dlpack__(**arguments)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def to_dlpack(self) -> Any:
        """A DLPack capsule over the same memory."""
        return self._array.__dlpack__()

    def numpy(self) -> np.ndarray:
        """The data as an array over the same memory."""
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._array, dtype)

    def update_inplace(self, array: np.ndarray) -> None:
        """Overwrites the data. Raises InvalidArgument when shape or dtype differ."""
        if array.shape != self._array.shape or array.dtype != self._array.dtype:
            raise InvalidArgument(f"cannot write {array.dtype}{list(array.shape)} into a value of {self._array.dtype}{list(self._array.shape)}")
        np.copyto(self._array, array)

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(self._array.ctypes.data)

    def shape(self) -> list[int]:
        """The extents."""
        return list(self._array.shape)

    def data_type(self) -> str:
        """The type, such as tensor(float)."""
        return f"tensor({DataType.of(self._array.dtype).name.lower()})"

    def element_type(self) -> int:
        """The ONNX number of the element type."""
        return int(DataType.of(self._array.dtype))

    def device_name(self) -> str:
        """cpu"""
        return "cpu"

    def has_value(self) -> bool:
        """True: an OrtValue always holds a tensor."""
        return True

    def is_tensor(self) -> bool:
        """True"""
        return True

    def is_sparse_tensor(self) -> bool:
        """False"""
        return False

    def is_tensor_sequence(self) -> bool:
        """False"""
        return False


class IOBinding:
    """Inputs and outputs bound to memory, for `InferenceSession.run_with_iobinding`."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._inputs: dict[str, np.ndarray] = {}
        self._targets: dict[str, np.ndarray | None] = {}
        self._results: dict[str, np.ndarray] = {}
        self._call: tuple[Executable, Call] | None = None
        """What was found out about runs with what is bound now."""

    def _known_input(self, name: str) -> str:
        self._call = None
        names = [item.name for item in (*self._session.get_inputs(), *self._session.get_overridable_initializers())]
        if name not in names:
            raise InvalidArgument(f"there is no input '{name}' to bind; the model has {', '.join(names)}")
        return name

    def _known_output(self, name: str) -> str:
        self._call = None
        names = [item.name for item in self._session.get_outputs()]
        if name not in names:
            raise InvalidArgument(f"there is no output '{name}' to bind; the model has {', '.join(names)}")
        return name

    def bind_cpu_input(self, name: str, arr_on_cpu: np.ndarray) -> None:
        """Binds an array."""
        self._inputs[self._known_input(name)] = np.asarray(arr_on_cpu)[...]

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Binds an OrtValue."""
        self._inputs[self._known_input(name)] = ortvalue.numpy()

    def bind_input(self, name: str, device_type: str, device_id: int, element_type: Any, shape: Sequence[int], buffer_ptr: int) -> None:
        """Binds memory at an address."""
        OrtDevice.make(device_type, device_id)
        self._inputs[self._known_input(name)] = _array_at(buffer_ptr, element_type, shape)

    def bind_output(
        self, name: str, device_type: str = "cpu", device_id: int = 0, element_type: Any = None,
        shape: Sequence[int] | None = None, buffer_ptr: int | None = None,
    ) -> None:  # fmt: skip
        """Binds an output to memory at an address, or to memory that the run provides."""
        OrtDevice.make(device_type, device_id)
        bound = None
        if buffer_ptr is not None:
            if shape is None or element_type is None:
                raise InvalidArgument(f"output '{name}': memory at an address needs an element type and a shape")
            bound = _array_at(buffer_ptr, element_type, shape)
        self._targets[self._known_output(name)] = bound

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Binds an output to an OrtValue."""
        self._targets[self._known_output(name)] = ortvalue.numpy()

    def synchronize_inputs(self) -> None:
        """Nothing to wait for on the processor."""

    def synchronize_outputs(self) -> None:
        """Nothing to wait for on the processor."""

    def clear_binding_inputs(self) -> None:
        """Forgets the inputs."""
        self._inputs.clear()
        self._call = None

    def clear_binding_outputs(self) -> None:
        """Forgets the outputs."""
        self._targets.clear()
        self._results.clear()
        self._call = None

    def get_outputs(self) -> list[OrtValue]:
        """The bound outputs of the last run, in the order they were bound."""
        return [OrtValue(self._results[name]) for name in self._targets if name in self._results]

    def get_outputs_as_ortvaluevector(self) -> list[OrtValue]:
        """The same as `get_outputs`."""
        return self.get_outputs()

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        """The bound outputs of the last run as arrays."""
        return [self._results[name] for name in self._targets if name in self._results]

    # -- for the session ---------------------------------------------------------------------------------------
    def feeds(self) -> Mapping[str, np.ndarray]:
        """The bound inputs."""
        return self._inputs

    def target(self, name: str) -> np.ndarray | None:
        """The memory an output is bound to."""
        return self._targets.get(name)

    def call(self, executable: Executable) -> Call | None:
        """What `keep` was given, if nothing was bound since."""
        return self._call[1] if self._call is not None and self._call[0] is executable else None

    def keep(self, executable: Executable, call: Call) -> None:
        """Takes what later runs with the same memory need not find out again."""
        self._call = executable, call

    def finish(self, names: Iterable[str], results: Iterable[np.ndarray]) -> None:
        """Takes the results of a run."""
        for name, result in zip(names, results):
            bound = self._targets.get(name)
            if bound is not None and bound is not result:
                np.copyto(bound, result)
            self._results[name] = result if bound is None else bound


def keep_apart(inputs: list[np.ndarray], outputs: Mapping[str, np.ndarray | None], in_place: Sequence[tuple[int, int]]) -> None:
    """Copies the inputs that an output would overwrite, but for the pairs (input, output), by number, that are made to be one memory.

    All arrays are contiguous. Raises InvalidArgument where two outputs share memory.
    """
    spans = [(*_span(array), False, number) for number, array in enumerate(inputs)]
    spans += [(*_span(array), True, number) for number, array in enumerate(outputs.values()) if array is not None]
    spans.sort()
    for place, (begin, end, writes, number) in enumerate(spans):
        for start, stop, other_writes, other in spans[place + 1 :]:
            if start >= end:
                break
            if start == stop or not (writes or other_writes):
                continue
            if writes and other_writes:
                names = list(outputs)
                raise InvalidArgument(f"outputs '{names[number]}' and '{names[other]}' are bound to memory that they share; bind each to its own")
            source, target = (other, number) if writes else (number, other)
            if (begin, end) != (start, stop) or (source, target) not in in_place:
                inputs[source] = inputs[source].copy()


def _span(array: np.ndarray) -> tuple[int, int]:
    begin = data_address(array)
    return begin, begin + array.nbytes


def _array_at(address: int, element_type: Any, shape: Sequence[int]) -> np.ndarray:
    import ctypes

    kind = DataType(element_type).numpy if isinstance(element_type, int) else np.dtype(element_type)
    count = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    memory = memoryview((ctypes.c_uint8 * count).from_address(address))
    return np.frombuffer(memory, np.uint8).view(kind).reshape(tuple(shape))

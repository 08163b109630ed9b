"""What a caller of `onward.convert` asks for, as every framework's page gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from onward.errors import ConversionError, FormatError, InvalidArgument, OnwardError

Captured = TypeVar("Captured")
Result = TypeVar("Result")


@dataclass
class Request:
    """The arguments of `onward.convert`; `source` is loaded already."""

    source: Any
    example_inputs: Any = None
    opset: int | None = None
    dynamic_shapes: Any = None
    input_names: Sequence[str] = field(default_factory=list)
    output_names: Sequence[str] | None = None
    methods: Sequence[str] = ()

    def name_of_input(self) -> str:
        """The name of the only input. Raises InvalidArgument for several."""
        if len(self.input_names) > 1:
            raise InvalidArgument(f"the model has 1 input, {len(self.input_names)} names were given")
        return self.input_names[0] if self.input_names else "x"

    def names_of_outputs(self, usual: Sequence[str]) -> list[str]:
        """The caller's names, or else the usual ones. Raises InvalidArgument for too few or too many."""
        if self.output_names and len(self.output_names) != len(usual):
            raise InvalidArgument(f"the model has {len(usual)} outputs, {', '.join(usual)}; {len(self.output_names)} names were given")
        return list(self.output_names or usual)


def first_conversion(captures: Iterable[Captured], converted: Callable[[Captured], Result]) -> Result:
    """The result for the first capture of a source that can be converted; captures come with fewer and fewer open sizes.

    Raises what the first one raised where none can, and InvalidArgument at once: the caller's mistake is the same in all.
    """
    problem: OnwardError = ConversionError("the source could not be captured in any way")
    for place, captured in enumerate(captures):
        try:
            return converted(captured)
        except InvalidArgument:
            raise
        except OnwardError as failure:  # with fewer open sizes it may have a translation
            problem = problem if place else failure
    raise problem


def read_table(path: Path) -> Any:
    """A pandas DataFrame of a .csv file whose first line has the names of the columns. Raises InvalidArgument without the file or pandas,
    FormatError for another text."""
    if not path.is_file():
        raise InvalidArgument(f"there is no file '{path}'")
    try:
        import pandas

        return pandas.read_csv(path)
    except ModuleNotFoundError as problem:
        raise InvalidArgument(f"'{path}' is read with pandas: pip install pandas") from problem
    except ValueError as problem:
        raise FormatError(f"'{path}' is no table: {problem}") from problem

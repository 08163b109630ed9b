"""Every exception a user can meet. Each message says where, what was expected, what came, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class OnwardError(Exception):
    """The base of all: catch this to catch whatever Onward raises on purpose."""


class InvalidArgument(OnwardError, ValueError):
    """An argument of a call that makes no sense, such as an unknown output name."""


class InvalidInput(OnwardError, ValueError):
    """A feed that does not fit the model: a missing or unknown name, a wrong dtype, rank or extent."""


class InvalidGraph(OnwardError):
    """A graph whose names do not fit together: duplicate or undefined values, cycles, too deep nesting."""


class InferenceError(OnwardError):
    """Types or shapes that contradict what an operator allows; the message names the node."""


class UnsupportedOperator(OnwardError):
    """Operators, versions or attributes that no page defines; the message lists all of them."""


class UnsupportedModel(OnwardError):
    """A source that no converter reads."""


class ConversionError(OnwardError):
    """A source that could not be captured or translated; the message names the place in the source."""


class ConversionMismatch(OnwardError):
    """A converted model that does not compute what its source computes. `model` is that model, its certificate in its
    metadata, or None where it could not be compared at all."""

    def __init__(self, message: str, model: object = None) -> None:
        super().__init__(message)
        self.model = model


class CheckError(OnwardError):
    """A model that breaks the standard. `problems` lists everything that is wrong, each with its place."""

    def __init__(self, message: str, problems: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class FormatError(OnwardError):
    """Bytes or text that are no model: truncated, damaged, or of another format; the message gives the place."""


class NoSuchFile(FormatError, FileNotFoundError):
    """A model file that is not there."""


class ExternalDataError(FormatError):
    """External data that is missing, too short, changed, or outside the model's folder."""


class CompileError(OnwardError):
    """Machine code could not be made or linked."""


class RunError(OnwardError):
    """A run that failed; the message names the node where that is known."""


class IndexOutOfBounds(RunError, IndexError):
    """An index that came from data and is outside the array it points into."""


class Terminated(RunError):
    """A run that was stopped on request."""

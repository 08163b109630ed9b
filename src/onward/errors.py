"""Every exception a user can meet."""


class OnwardError(Exception):
    """Base of all."""


class InvalidArgument(OnwardError, ValueError):
    """An argument that makes no sense."""


class InvalidInput(OnwardError, ValueError):
    """A wrong feed."""


class InvalidGraph(OnwardError):
    """A broken graph."""


class InferenceError(OnwardError):
    """Types that contradict."""


class UnsupportedOperator(OnwardError):
    """No page."""


class CheckError(OnwardError):
    """A model that breaks the standard."""


class FormatError(OnwardError):
    """A broken file."""


class NoSuchFile(FormatError, FileNotFoundError):
    """A model file that is not there."""


class ExternalDataError(FormatError):
    """A broken reference to external data."""


class CompileError(OnwardError):
    """Compilation failed."""


class RunError(OnwardError):
    """A run failed."""


class IndexOutOfBounds(RunError, IndexError):
    """An index from data outside its array."""


class Terminated(RunError):
    """Stopped on request."""

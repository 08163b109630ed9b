"""The `onward` command.

Exit codes: 0 done and right, 1 a model or an answer is wrong, 2 the command was used wrongly.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command with the arguments of the process, and exits."""
    from onward.cli import converting, editing  # noqa: F401 (they register their commands)
    from onward.cli.commands import app
    from onward.errors import InvalidArgument, OnwardError

    try:
        app()
    except OnwardError as problem:
        from onward.cli.output import report_problem

        report_problem(problem)
        sys.exit(2 if isinstance(problem, InvalidArgument) else 1)
    except BrokenPipeError:  # the reader of our output has left
        sys.stderr.close()
        sys.exit(0)
    except OSError as problem:  # a folder that is not there, a full disk
        from onward.cli.output import report_problem

        report_problem(problem)
        sys.exit(1)


__all__ = ["main"]

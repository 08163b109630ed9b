"""The `onward` command: thin rooms that parse, call and render."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line. Exit codes: 0 good, 1 a wrong model or answer, 2 wrong usage."""
    from onward.cli.application import application
    from onward.cli.console import errors
    from onward.errors import OnwardError

    try:
        application()
    except OnwardError as problem:
        errors.print(f"[bold red]{type(problem).__name__}[/]: ", end="")
        errors.print(str(problem), markup=False, highlight=False)
        sys.exit(1)

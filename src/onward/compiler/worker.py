"""Compiles modules in a process of its own: `python -m onward.compiler.worker`, pickles on stdin and stdout.

LLVM is behind one lock in a process, so compiling in parallel takes several. Nothing of the user's program is imported or
forked, so it is safe from any thread and without an `if __name__ == "__main__"`.
"""

from __future__ import annotations

import pickle
import sys

from onward.compiler.native import compile_module


def main() -> None:
    """Reads (texts, target), writes the list of object code."""
    texts, target = pickle.load(sys.stdin.buffer)
    pickle.dump([compile_module(text, target) for text in texts], sys.stdout.buffer)


if __name__ == "__main__":
    main()

"""How long a session takes to make: for the first time (cold: compiled) and again (warm: from the disk cache).

    python benchmarks/start.py [--only bert gpt2]

Each figure comes from a process of its own, with a cache that is empty before the cold start. Imports are not counted
(they are shown), nor is the start of Python.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from onward.cli.output import console, milliseconds, table

ROOT = Path(__file__).parents[1]
DEFAULT_FOLDER = Path(os.environ.get("ONWARD_TEST_MODELS") or ROOT / "build" / "models")
NAMES = ("resnet50", "mobilenetv2", "convnext", "vit", "bert", "gpt2", "minilm")

SCRIPT = """
import sys, time
begin = time.perf_counter()
import onward
onward.InferenceSession
imported = time.perf_counter()
session = onward.InferenceSession(sys.argv[1])
print(imported - begin, time.perf_counter() - imported)
"""

PEER_SCRIPT = """
import sys, time
begin = time.perf_counter()
import onnxruntime
imported = time.perf_counter()
session = onnxruntime.InferenceSession(sys.argv[1])
print(imported - begin, time.perf_counter() - imported)
"""


def timed(script: str, path: Path, cache: str) -> tuple[float, float]:
    """Seconds to import, and to make the session."""
    environment = {**os.environ, "ONWARD_CACHE": cache}
    done = subprocess.run([sys.executable, "-c", script, path], env=environment, capture_output=True, text=True, check=True)
    imports, session = done.stdout.split()
    return float(imports), float(session)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--variant", choices=("static", "dynamic", "legacy"), default="static")
    arguments = parser.parse_args()
    rows = table("model", "import", "cold", "warm, median of 5", "onnxruntime, median of 3", title="session creation")
    for name in arguments.only:
        path = arguments.models / f"{name}_{arguments.variant}.onnx"
        with tempfile.TemporaryDirectory() as cache:
            imports, cold = timed(SCRIPT, path, cache)
            warm = np.median([timed(SCRIPT, path, cache)[1] for _ in range(5)])
        peer = np.median([timed(PEER_SCRIPT, path, "off")[1] for _ in range(3)])
        rows.add_row(name, *map(milliseconds, (imports, cold, float(warm), float(peer))))
    console.print(rows)


if __name__ == "__main__":
    main()

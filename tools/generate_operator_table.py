"""Writes docs/operators.md: every operator, version and type on every target, as the coverage tests find them.

    python tools/generate_operator_table.py

Each target runs in a process of its own; the whole takes some minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ("avx512", "avx2", "generic")
HEADER = """# Operators, versions and types

Made by `python tools/generate_operator_table.py` from what `tests/operators/coverage.py` runs; do not edit it by hand.

A row is a version of an operator. Of each type variable of its schema it says how many of the types were run and agreed
with a judge (the reference evaluator of the onnx package, onnxruntime, or one of them on a wider type), and how: *native*
is one compiled function; *in stages* means that text, sequences, optional values or maps pass between compiled parts and
Python. Versions that share a definition are tried with all types once, and with one type each beyond that. Random
operators are compared in shape here; their distributions have tests of their own. Targets are compiled for and run by
name: {targets}.

{summary}

| operator | version | types | {columns} |
| --- | --- | --- | {rules} |
"""


def measure() -> None:
    """In a process of its own: prints all outcomes as JSON."""
    sys.path.insert(0, str(ROOT))
    from tests.operators.coverage import operators, outcomes

    rows: list[dict[str, Any]] = []
    for key in sorted(operators()):
        for item in outcomes(*key):
            row = {name: getattr(item, name) for name in ("domain", "name", "version", "variable", "type", "how", "judge")}
            rows.append({**row, "passed": item.passed, "excused": item.excused})
    print(json.dumps(rows))


def measured(target: str) -> list[dict[str, Any]]:
    """The outcomes on a target."""
    environment = {**os.environ, "ONWARD_CPU": target, "ONWARD_CACHE": "off", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, __file__, "--measure"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def described(rows: list[dict[str, Any]]) -> str:
    """What became of the types of one version."""
    parts = []
    by_variable: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_variable[row["variable"]].append(row)
    for variable, own in by_variable.items():
        passed = Counter(row["how"] for row in own if row["passed"])
        shown = ", ".join(f"{count} {'native' if how == 'native' else 'in stages'}" for how, count in sorted(passed.items()))
        missing = [row for row in own if not row["passed"]]
        if missing:
            reason = next((row["excused"] for row in missing if row["excused"]), "not run")
            kinds = ", ".join(row["type"] for row in missing[:3]) + (" ..." if len(missing) > 3 else "")
            shown = ", ".join(filter(None, [shown, f"{len(missing)} not ({kinds}: {reason})"]))
        parts.append(f"{variable}: {shown}")
    return "; ".join(parts)


def main() -> None:
    """Measures on all targets and writes the page."""
    results = {target: measured(target) for target in TARGETS}
    lines, totals = [], []
    for target, rows in results.items():
        count = Counter(row["how"] for row in rows if row["passed"])
        failed = sum(not row["passed"] for row in rows)
        totals.append(f"- {target}: {len(rows)} combinations; {count['native']} native, {count['stages']} in stages, {failed} not.")
    grouped: dict[tuple[str, str, int], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for target, rows in results.items():
        for row in rows:
            grouped[row["domain"], row["name"], row["version"]][target].append(row)
    for (domain, name, version), found in sorted(grouped.items(), key=lambda item: (item[0][0], item[0][1], -item[0][2])):
        cells = [f"{sum(row['passed'] for row in found[target])}/{len(found[target])}" for target in TARGETS]
        title = f"{domain}.{name}" if domain else name
        lines.append(f"| {title} | {version} | {described(found[TARGETS[0]])} | {' | '.join(cells)} |")
    header = HEADER.format(targets=", ".join(TARGETS), summary="\n".join(totals), columns=" | ".join(TARGETS), rules=" | ".join("---" for _ in TARGETS))
    (ROOT / "docs" / "operators.md").write_text(header + "\n".join(lines) + "\n")


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["--measure"] else main()

"""The commands that bring a model here from another framework, and those that compare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onward.cli.commands import ModelPath, Seed, Sizes, app
from onward.cli.editing import Output

if TYPE_CHECKING:
    from onward.converters.certificate import Certificate, Progress

SourcePath = Annotated[Path, typer.Argument(help="A model file or folder of another framework; docs/converters.md lists them.", exists=True)]
Trust = Annotated[bool, typer.Option("--trust", help="The file may run code while it is read, as pickles do.")]
From = Annotated[str | None, typer.Option("--from", metavar="FRAMEWORK", help="The framework, where the file's name does not say it.")]
Tolerance = Annotated[float | None, typer.Option(min=0.0, help="The greatest difference allowed, relative to the largest value of an output.")]
Examples = Annotated[
    list[str], typer.Option("--input", "-i", metavar="FILE", help="Example inputs that are tried too: .npy, .npz, or .csv with the names of columns.")
]
Methods = Annotated[list[str], typer.Option("--method", help="A method or signature of the source that becomes an output.")]
Constants = Annotated[
    list[str],
    typer.Option("--constant", metavar="NAME=FILE", help="With --to: an input that the result shall not have, and its value (.npy): axes, for instance."),
]


@app.command()
def convert(
    source: SourcePath,
    output: Output,
    framework: From = None,
    opset: Annotated[int | None, typer.Option(help="The operator set version of the result.")] = None,
    dynamic: Annotated[str | None, typer.Option(metavar="NAME,...", help="Sizes that stay open; the others are fixed at the example's.")] = None,
    methods: Methods = [],  # noqa: B006
    examples: Examples = [],  # noqa: B006
    tolerance: Tolerance = None,
    trust: Trust = False,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TARGET",
            help="A target in place of ONNX, such as numpy-source or xgboost; docs/converters/targets.md lists them. SOURCE may be an ONNX file.",
        ),
    ] = None,
    constants: Constants = [],  # noqa: B006
    force: Annotated[bool, typer.Option("--force", help="Write the result even if it does not compute the same; the exit code is 1 all the same.")] = False,
) -> None:
    """Convert a model of another framework, prove that it computes the same, and show the proof."""
    import onward
    from onward.errors import ConversionMismatch

    if to is not None:
        with _progress(f"converting {source.name}") as progress:
            onward.convert(
                source, _arrays(examples), opset=opset, dynamic_shapes=_names(dynamic), methods=methods, tolerance=tolerance, trust=trust,
                framework=framework, progress=progress, to=to, output=output, constants=_constants(constants),
            )  # fmt: skip
        from onward.cli.output import console
        from onward.converters.certificate import Certificate, place_beside

        proved = Certificate.beside(output)
        assert proved is not None
        _show(proved)
        console.print(f"'{output}' is the model, '{place_beside(output)}' the proof", markup=False, highlight=False)
        return

    with _progress(f"converting {source.name}") as progress:
        try:
            model = onward.convert(
                source, _arrays(examples), opset=opset, dynamic_shapes=_names(dynamic), methods=methods, tolerance=tolerance,
                trust=trust, framework=framework, progress=progress,
            )  # fmt: skip
        except ConversionMismatch as problem:
            if not force or problem.model is None:
                raise
            onward.save(problem.model, output)
            raise ConversionMismatch(f"{problem}\n'{output}' was written all the same", problem.model) from problem
    onward.save(model, output)
    _show(_certificate(model))


@app.command()
def verify(
    model: Annotated[Path, typer.Argument(help="A converted model: an ONNX file, or what `convert --to` wrote.", exists=True)],
    source: Annotated[Path | None, typer.Argument(help="What it was converted from; by default the file that its certificate names.", exists=True)] = None,
    framework: From = None,
    methods: Methods = [],  # noqa: B006
    examples: Examples = [],  # noqa: B006
    tolerance: Tolerance = None,
    trust: Trust = False,
    constants: Constants = [],  # noqa: B006
) -> None:
    """Compare a converted model with its source once more, and show the proof."""
    from onward.converters import verify as compare

    with _progress(f"comparing {model.name}") as progress:
        certificate = compare(
            model, source, _arrays(examples), methods=methods, tolerance=tolerance, trust=trust, framework=framework, progress=progress,
            constants=_constants(constants),
        )  # fmt: skip
    _show(certificate)


@app.command()
def diff(
    first: ModelPath,
    second: Annotated[Path, typer.Argument(help="Another ONNX file, or the source that the first was converted from.", exists=True)],
    values: Annotated[bool, typer.Option("--values", help="Compare what two ONNX models compute, value by value of the same name.")] = False,
    inputs: Annotated[
        list[str], typer.Option("--input", "-i", metavar="[NAME=]FILE", help="An input from .npy, .npz or .pb; for a source of tables a .csv, as in convert.")
    ] = [],  # noqa: B006
    sizes: Sizes = [],  # noqa: B006
    seed: Seed = 0,
    framework: From = None,
    tolerance: Tolerance = None,
    trust: Trust = False,
) -> None:
    """Say in what two models differ, or where the first operator stands that does not compute what the source does.

    The exit code is 1 if there is a difference.
    """
    import onward
    from onward.cli.commands import prepare_feeds
    from onward.cli.output import console
    from onward.converters import divergence

    model = onward.load(first)
    found: list[Any] = []
    if second.suffix == ".onnx":
        found += onward.diff(model, onward.load(second))
        if values:
            feeds = prepare_feeds(model, inputs, sizes, seed)
            found.append(divergence(model, onward.load(second), feeds, tolerance=tolerance))
    else:
        given = _arrays(inputs) if _is_table(inputs) else prepare_feeds(model, inputs, sizes, seed) if inputs else None
        found.append(divergence(model, second, given, tolerance=tolerance, trust=trust, framework=framework))
    differences = [str(item) for item in found if item is not None]
    for item in differences:
        console.print(item, markup=False, highlight=False)
    if differences:
        raise typer.Exit(1)
    console.print("no difference")


@app.command()
def matrix() -> None:
    """Convert a small model of each framework to each framework, and show how far the results are from their sources.

    The exit code is 1 if a result computes something else.
    """
    from onward.cli.output import console, table
    from onward.converters.matrix import FRAMEWORKS, matrix

    with _progress("the matrix") as progress:
        cells = matrix(progress)
    rows = table("from \\ to", *FRAMEWORKS.values(), title="greatest relative difference of the result from its source, through ONNX")
    reasons = {reason: place for place, reason in enumerate(dict.fromkeys(cell.reason for cell in cells if cell.reason), 1)}
    for source in dict.fromkeys(cell.source for cell in cells):
        own = {cell.target: cell for cell in cells if cell.source == source}
        rows.add_row(
            source, *(f"{cell.error:.1e}" if cell.error is not None else f"({reasons[cell.reason]})" for cell in (own[target] for target in FRAMEWORKS))
        )
    console.print(rows)
    for reason, place in reasons.items():
        console.print(f"({place}) {reason}", markup=False, highlight=False)
    if any(cell.wrong for cell in cells):
        raise typer.Exit(1)


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """A bar on the terminal for the time of the block; it goes when the block ends."""
    from rich.progress import Progress as Bar

    from onward.cli.output import errors

    with Bar(console=errors, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda stage, done, total: bar.update(task, description=f"{what}: {stage}", completed=done, total=total if total > 1 else None)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _is_table(files: list[str]) -> bool:
    return len(files) == 1 and files[0].endswith(".csv")


def _arrays(files: list[str]) -> Any:
    """Examples as a source takes them: one table or array, several arrays in order, or none."""
    if not files:
        return None
    from onward.cli.feeds import read_arrays
    from onward.converters.request import read_table

    if _is_table(files):
        return read_table(Path(files[0]))
    arrays = read_arrays(files)
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _constants(given: list[str]) -> dict[str, Any] | None:
    """Values by name of what is given as NAME=FILE."""
    from onward.cli.feeds import read_arrays
    from onward.errors import InvalidArgument

    if any("=" not in item for item in given):
        raise InvalidArgument("a constant is given as NAME=FILE, with a file of one array (.npy)")
    pairs = [item.split("=", 1) for item in given]
    return {name: read_arrays([file])[0] for name, file in pairs} or None


def _certificate(model: Any) -> Certificate:
    from onward.converters.certificate import Certificate

    certificate = Certificate.of(model)
    assert certificate is not None
    return certificate


def _show(certificate: Certificate) -> None:
    from onward.cli.output import console, table

    kinds = sorted({kind for found in certificate.differences.values() for kind in found})
    rows = table("output", *kinds, title=f"greatest differences from {certificate.framework}, {len(certificate.shapes)} sets of data")
    for name, found in certificate.differences.items():
        rows.add_row(name, *(f"{found[kind]:.3g}" if kind in found else "" for kind in kinds))
    console.print(rows)
    for note in certificate.notes:
        console.print(f"note: {note}", markup=False)

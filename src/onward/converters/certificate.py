"""The proof of a conversion: the source and its result on the same data, and what was found in the model's metadata."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onward.converters.comparison import difference, exceeds, rounded, row_gaps, tolerance_of
from onward.converters.evidence import LIMIT, Evidence
from onward.converters.localization import Values, first_divergence
from onward.errors import ConversionMismatch, InvalidArgument, InvalidInput, OnwardError
from onward.ir import Model

if TYPE_CHECKING:
    from onward.converters.localization import Divergence
    from onward.converters.rounds import Rounds

KEY = "onward.certificate"
EXAMPLE = "the example"
"""What the caller's own data are called."""
SEEDS = 64
"""How often small changes of the data are tried."""

TOLERANCES = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-13}
"""The greatest difference of an output, relative to its largest value, by the data type."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps of it are done, and how many there are."""

Run = tuple[str, Mapping[str, np.ndarray], list[tuple[str, np.ndarray, np.ndarray]]]
"""A set of data: what it is, the feeds, and (output, ours, theirs) of each output."""


@dataclass(frozen=True)
class Reference:
    """What is to be reproduced.

    `outputs(feeds)` gives the source's arrays by output name, or None where the source refuses the data (and is itself None where
    the source cannot be run here: then the model is run, but not compared); `data` are matrices of
    rows, or arrays by input name, that try what the source can tell apart; `framework` is its name and version. `exactly`
    is the source in double precision, which tells whose rounding a difference is. `values(feeds)` gives what the source
    computes on the way, by the names of the model's values and in the order of computation, so that a difference has a place.
    """

    framework: str
    data: Mapping[str, Any]
    outputs: Callable[[Any], Mapping[str, np.ndarray] | None] | None
    exactly: Callable[[Any], Mapping[str, np.ndarray] | None] | None = None
    tolerances: Mapping[Any, float] = field(default_factory=lambda: TOLERANCES)
    notes: tuple[str, ...] = ()
    random: bool = False
    """The source draws random numbers, so that only shapes and types can be compared."""
    rounds: bool = False
    """The source rounds to few numbers on the way: what differs in the last place may become a whole step."""
    values: Callable[[Any], Values] | None = None
    rounds_of_trees: Rounds | None = None
    """Of boosted trees, what they add up to after each round."""
    nearby: Callable[[Any, int], Mapping[str, np.ndarray] | None] | None = None
    """What the source gives for data, and for distances of rows, that are changed at random by the tolerance; the number is a seed.
    The first axis of the outputs is that of the rows."""
    steps: Mapping[str, float] = field(default_factory=dict)
    """The distance of neighbouring numbers in outputs that are rounded to few: they may differ by one of them."""

    @classmethod
    def unjudged(cls, title: str, data: Mapping[str, Any]) -> Reference:
        """What is said of a file whose framework is not installed."""
        return cls(title, data, None, notes=(f"{title} is not installed, so the source could not be run: nothing was compared",))


@dataclass(frozen=True)
class Certificate:
    """What a comparison found.

    `differences`: for each output the greatest absolute and relative difference, and that in units of the last place; how many
    elements of an integer or text output differ. `shapes`: those of the inputs, by set of data. `digest`: of the model
    without the certificate. `source`: path and digest of the source where it is a file. `failures`: differences beyond the
    tolerance, of a model that was kept all the same. `evidence`: runs that can be repeated without a source that is no file.
    """

    framework: str
    digest: str
    shapes: dict[str, Any]
    differences: dict[str, dict[str, float]]
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    evidence: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, model: Model) -> Certificate | None:
        """The certificate that a model carries, if there is one. Raises InvalidArgument where it cannot be read."""
        text = model.metadata.get(KEY)
        try:
            return None if text is None else cls(**json.loads(text))
        except (TypeError, ValueError) as problem:
            raise InvalidArgument(f"the model's certificate ('{KEY}' of its metadata) cannot be read: {problem}") from problem

    @classmethod
    def beside(cls, written: Path) -> Certificate | None:
        """The certificate of a file or folder that a target wrote, if there is one. Raises InvalidArgument where it cannot be read."""
        place = place_beside(written)
        try:
            said = json.loads(place.read_text(encoding="utf-8"))
            return cls(**{item.name: said[item.name] for item in fields(cls)})
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as problem:
            raise InvalidArgument(f"the certificate '{place}' cannot be read: {problem}") from problem


def place_beside(written: Path) -> Path:
    """Where the certificate of a file or folder is that a target writes."""
    return written / "certificate.json" if written.is_dir() else written.with_name(f"{written.name}.certificate.json")


def certify(
    model: Model,
    reference: Reference,
    examples: Any,
    tolerance: float | None,
    source: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Certificate:
    """Compares, and keeps the certificate in the model.

    An output may differ by the tolerance, relative to its largest value, or by twice what the source itself differs
    from its own computation in double precision. Where that is beyond the tolerance already, or the source rounds to
    codes on the way, the data are ill-conditioned: then it may also differ by what becomes of data that are changed by the tolerance
    (mixed stability: Higham, Accuracy and Stability of Numerical Algorithms, section 1.5). Where the source says what is `nearby`, that
    holds for each row: so many neighbours may be equally near that which of them are the nearest is a matter of rounding.

    Raises ConversionMismatch that names every output that differs, and the first operator whose result does where the source tells what it
    computes on the way; the model carries the certificate then too.
    """
    kept: list[Evidence] = []
    runs = _runs(model, reference, examples, progress)
    if not source and not reference.random:
        runs = _kept(runs, kept, reference, tolerance)
    return conclude(model, reference, runs, tolerance, source, kept)


def conclude(
    model: Model, reference: Reference, runs: Iterable[Run], tolerance: float | None, source: Mapping[str, str] | None = None, evidence: Sequence[Evidence] = (),
) -> Certificate:  # fmt: skip
    """The certificate of runs that somebody else makes; else as `certify`."""
    digest = _digest(model)
    comparison = _Comparison(reference, tolerance)
    for what, given, results in runs:
        comparison.add(what, given, results)
    if not comparison.shapes:
        raise ConversionMismatch(f"{reference.framework} accepts none of the data that was tried; pass example inputs")
    certificate = Certificate(
        reference.framework, digest, comparison.shapes, comparison.found, [*reference.notes, *comparison.all_notes()], _versions(), dict(source or {}),
        list(comparison.failures.values()), [asdict(item) for item in evidence],
    )  # fmt: skip
    model.metadata[KEY] = json.dumps(asdict(certificate))
    if certificate.failures:
        place = _place(model, reference, comparison.failing, tolerance)
        raise ConversionMismatch("\n".join([*certificate.failures, *place]), model)
    return certificate


def _runs(model: Model, reference: Reference, examples: Any, progress: Progress | None) -> Iterator[Run]:
    """A run for every set of data that the source accepts."""
    from onward.runtime import InferenceSession

    session = InferenceSession(model.to_bytes())
    data = dict(reference.data)
    if examples is not None and EXAMPLE not in data and isinstance(next(iter(data.values())), np.ndarray):
        data[EXAMPLE] = np.asarray(examples.toarray() if hasattr(examples, "toarray") else examples, next(iter(data.values())).dtype)
    for step, (what, given) in enumerate(data.items()):
        if progress is not None:
            progress("comparing", step, len(data))
        feeds = given if isinstance(given, Mapping) else {session.get_inputs()[0].name: given}
        if reference.outputs is None:
            session.run(None, dict(feeds))
            yield what, feeds, []
            continue
        expected = reference.outputs(given)
        if expected is None:
            if what == EXAMPLE:
                raise InvalidArgument(f"{reference.framework} itself refuses the example inputs")
            continue
        try:
            results = session.run(None, dict(feeds))
        except InvalidInput:
            if any(np.asarray(theirs).size for theirs in expected.values()):
                raise
            continue  # where no window fits, some sources have nothing as a result, and a graph has none
        yield what, feeds, [(name, ours, np.asarray(theirs)) for ours, (name, theirs) in zip(results, expected.items(), strict=True)]


def repeated(model: Model, tolerance: float | None = None) -> Certificate:
    """Runs the model once more on what its certificate keeps, and compares with what the source gave for that; the certificate of it.

    Raises InvalidArgument where the model has no certificate, or none that keeps a run, and ConversionMismatch where the model has changed since
    or computes something else.
    """
    from onward.runtime import InferenceSession

    certificate = Certificate.of(model)
    if certificate is None:
        raise InvalidArgument("the model has no certificate, so that nothing says what it was converted from: pass the source")
    if _digest(model) != certificate.digest:
        raise ConversionMismatch("the model is not the one that its certificate was written for: it has changed since", model)
    if not certificate.evidence:
        raise InvalidArgument(
            f"the model is as it was when its certificate was written, but its source ({certificate.framework}) was no file, and the data that were "
            "compared are too large to be kept: pass the source to compare again"
        )
    session = InferenceSession(model.to_bytes())
    shapes, differences, failures = {}, dict[str, dict[str, float]](), []
    for item in (Evidence.read(kept) for kept in certificate.evidence):
        feeds, results = item.arrays()
        shapes[item.data] = {name: list(array.shape) for name, array in feeds.items()}
        for name, ours in zip(results, session.run(list(results), feeds)):
            allowed, step = item.allowed[name]
            found = difference(ours, results[name], f"output '{name}' for {item.data}")
            if exceeds(found, allowed if tolerance is None else tolerance, step):
                failures.append(f"output '{name}' differs from what {certificate.framework} gave for {item.data}: {rounded(found)}")
            worst = differences.setdefault(name, found)
            differences[name] = {key: max(value, found[key]) for key, value in worst.items()}
    if failures:
        raise ConversionMismatch("\n".join(failures), model)
    left = [what for what in certificate.shapes if what not in shapes]
    notes = [f"the source was no file, so that it was not run: compared was what it gave at the conversion for {', '.join(shapes)}"]
    notes += [f"not kept, and not compared again: {', '.join(left)}"] if left else []
    return Certificate(certificate.framework, certificate.digest, shapes, differences, [*notes, *certificate.notes], _versions())


def _kept(runs: Iterable[Run], evidence: list[Evidence], reference: Reference, tolerance: float | None) -> Iterator[Run]:
    """The runs, of which as many are kept as there is room for; never the caller's own data."""
    rows, room = isinstance(next(iter(reference.data.values())), np.ndarray), LIMIT
    for run in runs:
        what, feeds, results = run
        allowed = {}
        for name, ours, theirs in results:
            found = difference(ours, theirs, f"output '{name}' for {what}")
            limit = tolerance if tolerance is not None else tolerance_of(theirs.dtype, reference.tolerances)
            if not found.get("different") or "steps" in found:
                allowed[name] = (max(limit, 2 * found.get("relative", 0.0)), found.get("steps", 0.0))
        compared = {name: theirs for name, _, theirs in results if name in allowed}
        made = Evidence.of(what, feeds, compared, allowed, rows) if compared and what != EXAMPLE else None
        if made is not None and made.size <= room:
            evidence.append(made)
            room -= made.size
        yield run


class _Comparison:
    """What is found while set after set of data is compared."""

    def __init__(self, reference: Reference, tolerance: float | None) -> None:
        self.reference = reference
        self.tolerance = tolerance
        self.shapes: dict[str, Any] = {}
        self.found: dict[str, dict[str, float]] = {}
        self.failures: dict[str, str] = {}
        """By output, the first set of data for which it differs."""
        self.failing: Mapping[str, np.ndarray] | None = None
        """The feeds of the first failure."""
        self.notes: list[str] = []
        self.undecided: dict[str, list[str]] = {}
        """By output, how many rows of which data small changes of the data decide."""
        self.roundings: dict[str, float] = {}
        """By output that is rounded to few numbers, how far the source was from its own exact result for any data so far."""

    def add(self, what: str, feeds: Mapping[str, np.ndarray], results: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
        self.shapes[what] = {name: list(np.shape(array)) for name, array in feeds.items()}
        where = f"{what} ({', '.join(f'{name} {shape}' for name, shape in self.shapes[what].items())})"
        exact: Mapping[str, np.ndarray] | None = None
        for name, ours, theirs in results:
            found = difference(ours, theirs, f"output '{name}' for {where}")
            if self.reference.random:
                continue
            allowed = self.tolerance if self.tolerance is not None else tolerance_of(theirs.dtype, self.reference.tolerances)
            step = self.reference.steps.get(name, 0.0)
            if step and self.reference.exactly is not None:
                exact = exact or self._exactly(feeds)
                own = difference(theirs, exact[name], where)["absolute"]
                self.roundings[name] = max(own, self.roundings.get(name, 0))
            if exceeds(found, allowed, step):
                exact = exact or self._exactly(feeds)
                coarse = step + 2 * self.roundings.get(name, 0)
                verdict = self._verdict(name, feeds, ours, theirs, exact.get(name), where, coarse, allowed)
                if verdict is not None:
                    self.failing = self.failing or feeds
                    framework = self.reference.framework
                    text = f"output '{name}' differs from {framework} for {where}: {rounded(found)}; allowed is {allowed:g}{verdict}"
                    self.failures.setdefault(name, text)
            worst = self.found.setdefault(name, found)
            self.found[name] = {key: max(value, found[key]) for key, value in worst.items()}

    def all_notes(self) -> Iterator[str]:
        """What is to be said of the comparison."""
        yield from self.notes
        for name, places in self.undecided.items():
            yield (
                f"output '{name}' was not compared where the source itself gives another result for data that differ by rounding (neighbours "
                f"that are equally near, for instance); rows: {', '.join(places)}"
            )

    def _verdict(
        self, name: str, feeds: Mapping[str, np.ndarray], ours: np.ndarray, theirs: np.ndarray, exact: np.ndarray | None, where: str,
        coarse: float, allowed: float,
    ) -> str | None:  # fmt: skip
        """Whose rounding a difference is: None where it is the source's own, at most `coarse`, or of ill-conditioned data, which is
        noted; else what is to be said."""
        if self._is_undecided(name, feeds, ours, theirs, where.partition(" (")[0], allowed):
            return None
        if exact is None or exact.shape != theirs.shape or theirs.dtype.kind in "iubOUS" and exact.dtype.kind != "f":
            return ""
        mine, own = difference(ours, exact, where), difference(theirs, exact, where)
        if mine["absolute"] <= max(2 * own["absolute"], coarse):
            return None
        said = f"from double precision ours differs by {mine['absolute']:.3g}, the source by {own['absolute']:.3g}"
        if self.reference.rounds or exceeds(own, allowed):
            near = self._nearby(name, feeds, allowed)
            moved = difference(near, exact, where)["absolute"] if near is not None and near.shape == exact.shape else 0.0
            if mine["absolute"] <= moved:
                self.notes.append(f"output '{name}' is ill-conditioned for {where}: {said}, data changed by {allowed:g} by {moved:.3g}")
                return None
        return f"; {said}"

    def _is_undecided(self, name: str, feeds: Mapping[str, np.ndarray], ours: np.ndarray, theirs: np.ndarray, what: str, allowed: float) -> bool:
        """Whether small changes of the data make the source differ from itself in every row that differs, by a fourth of that at least;
        this is noted."""
        if self.reference.nearby is None:
            return False
        apart = row_gaps(ours, theirs)
        scale = 1.0 if theirs.dtype.kind in "iubOUS" else np.abs(theirs[np.isfinite(theirs)]).max(initial=0) or 1.0
        moved = np.zeros(len(apart))
        for seed in range(SEEDS):
            near = self.reference.nearby(self._given(feeds), seed)
            if near is None or near[name].shape != theirs.shape:
                return False
            moved = np.maximum(moved, row_gaps(near[name], theirs))
            if (apart <= np.maximum(4 * moved, allowed * scale)).all():
                rows = int((apart > allowed * scale).sum())
                self.undecided.setdefault(name, []).append(f"{rows} of {len(apart)} for {what}")
                return True
        return False

    def _nearby(self, name: str, feeds: Mapping[str, np.ndarray], tolerance: float) -> np.ndarray | None:
        """The exact output for data of which each number is changed at random, by the tolerance at most."""
        random = np.random.default_rng(0)

        def changed(array: Any) -> Any:
            array = np.asarray(array)
            if array.dtype.kind != "f":
                return array
            return (array * (1 + tolerance * random.uniform(-1, 1, array.shape))).astype(array.dtype)

        return self._exactly({key: changed(array) for key, array in feeds.items()}).get(name)

    def _exactly(self, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        if self.reference.exactly is None:
            return {}
        return self.reference.exactly(self._given(feeds)) or {}

    def _given(self, feeds: Mapping[str, np.ndarray]) -> Any:
        """Feeds as the source takes them: rows, or arrays by input name."""
        return next(iter(feeds.values())) if isinstance(next(iter(self.reference.data.values())), np.ndarray) else feeds


def _place(model: Model, reference: Reference, feeds: Mapping[str, np.ndarray] | None, tolerance: float | None) -> list[str]:
    """Where the difference begins, if the source tells what it computes on the way."""
    if reference.values is None or feeds is None:
        return []
    try:
        divergence = divergence_from(model, reference, feeds, tolerance)
    except OnwardError:  # parts of the model that do not run by themselves: the mismatch is what matters
        return []
    return [] if divergence is None else [str(divergence)]


def divergence_from(model: Model, reference: Reference, feeds: Mapping[str, np.ndarray], tolerance: float | None) -> Divergence | None:
    """The first value of a model that differs from what the source tells (`values`), and of boosted trees the round."""
    assert reference.values is not None
    found = first_divergence(model, reference.values(feeds), feeds, reference.tolerances, tolerance)
    if found is None or found.operator != "TreeEnsemble" or reference.rounds_of_trees is None:
        return found
    allowed = tolerance if tolerance is not None else tolerance_of(np.dtype(found.theirs.dtype), reference.tolerances)
    return replace(found, round=reference.rounds_of_trees.first_different(model, feeds, allowed))


def _digest(model: Model) -> str:
    """SHA-256 of a model without its certificate."""
    kept = model.metadata.pop(KEY, None)
    digest = hashlib.sha256(model.to_bytes()).hexdigest()
    if kept is not None:
        model.metadata[KEY] = kept
    return digest


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"onward": version("onward"), "numpy": np.__version__, "python": platform.python_version(), "machine": platform.machine()}

"""What each stage takes, fitted to the measured runs, and how far that is off at runs that the fit has not seen.

Quantities: `processor` seconds of one core; `serial` seconds of it that one process takes while no other can help; `peak` bytes of the one
process that does all, `outside` of the command where workers do the tasks, `rise` of a worker above its base; bytes `read`, `written`,
`kept` in the store at the end, and `scratch` in it meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from facecluster.plan.laws import Law, fit
from facecluster.plan.runs import EMBED, HERE, TASKS, Run, Size

_PAIRS = ("faces", "numbers", "pairs", "pairs x dim")
_LISTS = ("faces", "numbers", "faces x log faces", "scanned", "scanned x dim", "faces x lists x dim")
_SORTED = ("once", "faces", "numbers", "faces x log faces")
_BYTES = ("once", "faces", "numbers")
_STORED = dict.fromkeys(("peak", "outside", "rise", "read", "written", "kept", "scratch"), _BYTES) | {"base": ("once",)}
_OF_TASKS = dict.fromkeys(("peak", "outside", "rise"), ("once", "faces of a task", "faces", "numbers"))
_OF_SHARDS = ("kept_photos", "kept_faces")
WHOLE_SHARD = 100  # photos; the files of smaller shards are mostly headers
LEAST = 0.1  # processor seconds of a run that shows anything
# terms by stage, way and quantity
TERMS_OF: dict[tuple[str, str], dict[str, Sequence[str]]] = {
    ("decode", EMBED): {
        "processor": ("photos", "held megapixels", "megapixels"), "peak": ("once", "megapixel"), "base": ("once",),
        "photo_bytes": ("megapixels",), "kept_photos": ("photos",), "kept_faces": ("faces",),
    },
    ("detect", EMBED): {"processor": ("photos", "faces")},
    ("embed", EMBED): {"processor": ("faces",)},
    ("link", HERE): {"processor": _PAIRS, **_STORED},
    ("link", TASKS): {"processor": _LISTS, "serial": _SORTED, **_STORED, **_OF_TASKS},
    ("identify", HERE): {"processor": _SORTED, **_STORED},
    ("identify", TASKS): {"processor": _SORTED, "serial": _SORTED, **_STORED, **_OF_TASKS},
    ("report", HERE): {"processor": _SORTED, **_STORED},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Miss:
    """A run, and what laws say that were not fitted to it."""

    run: Run
    predicted: float  # processor seconds
    measured: float

    def to_dict(self) -> dict[str, str | float]:
        return {"stage": self.run.stage, "run": self.run.name, "predicted": self.predicted, "measured": self.measured}

    @property
    def error(self) -> float:
        """.1 if 10 % too much was predicted."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True, slots=True)
class StageLaws:
    """The laws of a stage and a way."""

    laws: dict[str, Law]

    def of(self, quantity: str, size: Size) -> float:
        """A quantity at a size; 0 if it is none of this stage's."""
        return self.laws[quantity].of(size) if quantity in self.laws else 0.0


def fit_stage(runs: Sequence[Run], stage: str, way: str, only: Collection[str] | None = None) -> StageLaws:
    """Fit the laws of a stage and a way, or some of its quantities.

    Held-out runs count only for the disk of photos, which is that of whole shards.
    """
    some = [r for r in runs if (r.stage, r.way) == (stage, way)]
    out = {}
    for quantity, terms in TERMS_OF[stage, way].items():
        having = [r for r in some if _counts(r, quantity)] if only is None or quantity in only else []
        if having:
            out[quantity] = fit(terms, [r.size for r in having], [_value(r, quantity) or 0.0 for r in having])
    return StageLaws(out)


def misses(runs: Sequence[Run]) -> list[Miss]:
    """Processor time against each run, by laws fitted without it; largest run of each stage, way and length of vectors last."""
    found = []
    for stage, way in TERMS_OF:
        some = sorted((r for r in runs if (r.stage, r.way) == (stage, way)), key=lambda r: (r.size.dim, r.size.faces, r.size.photos))
        for run in some:
            laws = fit_stage([r for r in some if r is not run], stage, way, ("processor",))
            if run.values["processor"] >= LEAST:
                found.append(Miss(run, laws.of("processor", run.size), run.values["processor"]))
    return found


def _counts(run: Run, quantity: str) -> bool:
    """Whether a law of a quantity is fitted to a run."""
    if quantity in _OF_SHARDS:
        return run.size.photos >= WHOLE_SHARD
    return not run.held_out and _value(run, quantity) is not None


def _value(run: Run, quantity: str) -> float | None:
    if quantity == "serial" and "in_tasks" in run.values:
        return run.values["processor"] - run.values["in_tasks"]
    return run.values.get(quantity)

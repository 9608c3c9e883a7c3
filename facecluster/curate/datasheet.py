"""The datasheet: what is in the data set, what was left out and why, its quality and balance. As JSON, and as Markdown.

The headings are a short form of "Datasheets for Datasets" (Gebru et al., 2021); what only the maker of the data set knows is left as a
question.

Odd input: people without a group are in the group "not said".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster import __version__
from facecluster.curate.balance import balance_figures
from facecluster.curate.plan import INCLUDED, REASONS, Plan, proposals_to_dict
from facecluster.report.text import one_line, plural

NO_GROUP = "not said"
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def datasheet(plan: Plan, groups: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Figures of a plan, for JSON. `groups` gives the group of each person, by name."""
    source, included = plan.source, plan.included
    labelled = source.label >= 0
    verdicts, counts = np.unique(plan.labels.verdicts.verdict, return_counts=True)
    return {
        "made_by": f"facecluster {__version__}", "settings": plan.config.to_dict(),
        "faces": {"looked_at": len(plan.reason), "included": len(included)},
        "why": {reason: n for reason in REASONS if (n := int((plan.reason == reason).sum()))},
        "labels": {"people": len(source.names), "rounds": plan.labels.verdicts.rounds, "unmatched_rows": source.unmatched_rows,
                   "verdicts": {str(v): int(n) for v, n in zip(verdicts, counts, strict=True)}},
        "splits": {split: _part(plan, included[plan.split[included] == split]) for split, share in plan.config.shares if share},
        "people": balance_figures(_sizes(plan.person[included])), "people_before": balance_figures(_sizes(source.label[labelled])),
        "quality": _quality(plan, included), "quality_left_out": _quality(plan, np.flatnonzero(plan.reason != INCLUDED)),
        "copies": int((plan.original != np.arange(len(plan.reason))).sum()),
        "proposals": proposals_to_dict(plan),
        **({"groups": _groups(plan, groups)} if groups is not None else {}),
    }  # fmt: skip


def _sizes(person: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.asarray(np.unique(person, return_counts=True)[1], dtype=np.int64)


def _part(plan: Plan, rows: NDArray[np.integer]) -> dict[str, int]:
    photos = len(np.unique(plan.source.photo[rows]))
    return {"faces": len(rows), "people": len(np.unique(plan.person[rows])), "photos": photos}


def _quality(plan: Plan, rows: NDArray[np.integer]) -> dict[str, dict[str, float]]:
    """Quantiles of each measure of the faces."""
    out = {}
    for name, values in plan.source.measures.items():
        if len(rows):
            found = np.quantile(np.abs(values[rows]) if name == "yaw" else values[rows], _QUANTILES)
            out[name] = {f"{q:.0%}": round(float(v), 3) for q, v in zip(_QUANTILES, found, strict=True)}
    return out


def _groups(plan: Plan, groups: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Figures of each group: size, share left out, quality. Uneven figures show where a model trained on this data will be weak."""
    source = plan.source
    of = np.array([groups.get(name, NO_GROUP) for name in source.names] + [""], dtype=object)[source.label]
    out = {}
    for name in sorted(set(of[source.label >= 0].tolist())):
        rows = np.flatnonzero(of == name)
        kept = rows[plan.reason[rows] == INCLUDED]
        out[name] = {
            "people": len(np.unique(plan.person[kept])), "faces_before": len(rows), "faces": len(kept),
            "share_left_out": round(1 - len(kept) / len(rows), 4), "share_wrong": round(float(plan.labels.flagged[rows].mean()), 4),
            "quality": round(float(source.measures["quality"][kept].mean()), 3) if len(kept) else 0.0,
        }  # fmt: skip
    return out


def markdown(sheet: Mapping[str, Any]) -> str:
    """The datasheet as Markdown."""
    faces, people = sheet["faces"], sheet["people"]
    parts = [
        "# Datasheet",
        f"{plural(faces['included'], 'face')} of {plural(people['people'], 'person', 'people')}, out of "
        f"{plural(faces['looked_at'], 'face')} looked at. Made by {sheet['made_by']}.",
        "## Composition", _table("split", ("faces", "people", "photos"), sheet["splits"]),
        "Nobody is in two splits, and no near-duplicate of a face.",
        "## What was left out, and why", _table("why", ("faces",), {k: {"faces": n} for k, n in sheet["why"].items()}),
        "`manifest.csv` has the reason for every face.",
        "## Labels", _table("verdict", ("faces",), {k: {"faces": n} for k, n in sheet["labels"]["verdicts"].items()}),
        *_proposed(sheet["proposals"]),
        "## Balance", _table("faces a person", ("people",), {k: {"people": n} for k, n in people["by_faces"].items()}),
        f"Gini coefficient {people['gini']} (0 = equal); as varied as {people['effective_people']} people of equal share; the tenth of "
        f"people with most faces has {people['top_tenth_share']:.0%} of the faces.",
        "## Quality (quantiles)", _table("of the faces", tuple(f"{q:.0%}" for q in _QUANTILES), sheet["quality"]),
    ]  # fmt: skip
    if "groups" in sheet:
        columns = ("people", "faces_before", "faces", "share_left_out", "share_wrong", "quality")
        parts += ["## By group", _table("group", columns, sheet["groups"])]
    parts += [
        "## To be filled in by whoever publishes this data set",
        "- Where do the photos come from, and did the people agree to this use?\n- Under which licence?\n"
        "- What should it not be used for?\n- Who takes requests to remove somebody, and how?",
    ]
    return "\n\n".join(parts) + "\n"


def _proposed(found: Mapping[str, Any]) -> list[str]:
    lines = [f"- {_cell(a)} and {_cell(b)} seem to be one person" for a, b in (row["people"] for row in found["one_person"])]
    lines += [f"- {_cell(row['person'])} seems to be {len(row['others']) + 1} people" for row in found["several_people"]]
    return ["\n".join(["To decide:", "", *lines])] if lines else []


def _table(first: str, columns: tuple[str, ...], rows: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"| {first} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {_cell(name)} | {' | '.join(_cell(row.get(c, '')) for c in columns)} |" for name, row in rows.items()]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    """A value in a Markdown table: names may hold Markdown or HTML."""
    text = f"{value:,}" if isinstance(value, int) else one_line(str(value))
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")

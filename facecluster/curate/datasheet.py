"""The datasheet: what is in the data set, what was left out and why, its quality and balance. As JSON, and as Markdown.

The headings are a short form of "Datasheets for Datasets" (Gebru et al., 2021); what only the maker of the data set knows is left as a
question.

Odd input: people without a group are in the group "not said".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster import __version__
from facecluster.curate.balance import balance_figures
from facecluster.curate.plan import INCLUDED, REASONS, Plan, proposals_to_dict
from facecluster.language import ENGLISH, Language, mark
from facecluster.report.text import one_line

NO_GROUP = "not said"
_COLUMNS = {
    "faces": mark("faces"), "people": mark("people"), "photos": mark("photos"), "faces_before": mark("faces before"),
    "share_left_out": mark("share left out"), "share_wrong": mark("share wrong"), "quality": mark("quality"),
}  # fmt: skip
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
                   **({"several_labels": source.several_labels} if source.several_labels else {}),
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
    groups = {unicodedata.normalize("NFC", name): group for name, group in groups.items()}
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


def markdown(sheet: Mapping[str, Any], language: Language = ENGLISH) -> str:
    """The datasheet as Markdown. Reasons, verdicts and measures are called as in its JSON, whatever the language of its sentences."""
    faces, people, t, tn = sheet["faces"], sheet["people"], language.t, language.tn
    counted = tn("%(n)s face", "%(n)s faces", faces["included"]), tn("%(n)s person", "%(n)s people", people["people"])
    concentration = t(
        "Gini coefficient %(gini)s (0 = equal); as varied as %(people)s people of equal share; the tenth of people with most faces has "
        "%(share)s of the faces.",
        gini=language.number(people["gini"], 3), people=language.number(people["effective_people"], 1),
        share=language.percent(people["top_tenth_share"]),
    )  # fmt: skip
    heads = {name: t(_COLUMNS[name]) for name in _COLUMNS} | {f"{q:.0%}": language.percent(q) for q in _QUANTILES}
    one, shares = ("faces",), tuple(f"{q:.0%}" for q in _QUANTILES)
    parts = [
        f"# {t('Datasheet')}",
        t("%(faces)s of %(people)s, out of %(all)s looked at. Made by %(program)s.", faces=counted[0], people=counted[1],
          all=tn("%(n)s face", "%(n)s faces", faces["looked_at"]), program=sheet["made_by"]),
        f"## {t('Composition')}", _table(t("split"), ("faces", "people", "photos"), sheet["splits"], heads, language),
        t("Nobody is in two splits, and no near-duplicate of a face."),
        f"## {t('What was left out, and why')}", _table(t("why"), one, {k: {"faces": n} for k, n in sheet["why"].items()}, heads, language),
        t("`manifest.csv` has the reason for every face."),
        f"## {t('Labels')}", _table(t("verdict"), one, {k: {"faces": n} for k, n in sheet["labels"]["verdicts"].items()}, heads, language),
        *_proposed(sheet["proposals"], language),
        f"## {t('Balance')}",
        _table(t("faces a person"), ("people",), {k: {"people": n} for k, n in people["by_faces"].items()}, heads, language),
        concentration,
        f"## {t('Quality (quantiles)')}", _table(t("of the faces"), shares, sheet["quality"], heads, language),
    ]  # fmt: skip
    if "groups" in sheet:
        columns = ("people", "faces_before", "faces", "share_left_out", "share_wrong", "quality")
        parts += [f"## {t('By group')}", _table(t("group"), columns, sheet["groups"], heads, language)]
    parts += [
        f"## {t('To be filled in by whoever publishes this data set')}",
        f"- {t('Where do the photos come from, and did the people agree to this use?')}\n- {t('Under which licence?')}\n"
        f"- {t('What should it not be used for?')}\n- {t('Who takes requests to remove somebody, and how?')}",
    ]
    return "\n\n".join(parts) + "\n"


def _proposed(found: Mapping[str, Any], language: Language) -> list[str]:
    pairs = [row["people"] for row in found["one_person"]]
    lines = [language.t("%(a)s and %(b)s seem to be one person", a=_cell(a), b=_cell(b)) for a, b in pairs]
    lines += [
        language.t("%(person)s seems to be %(n)s people", person=_cell(row["person"]), n=language.number(len(row["others"]) + 1))
        for row in found["several_people"]
    ]
    return ["\n".join([language.t("To decide:"), "", *(f"- {line}" for line in lines)])] if lines else []


def _table(
    first: str, columns: tuple[str, ...], rows: Mapping[str, Mapping[str, Any]], heads: Mapping[str, str], language: Language
) -> str:
    lines = [f"| {first} | {' | '.join(heads.get(c, c) for c in columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {_cell(name)} | {' | '.join(_cell(row.get(c, ''), language) for c in columns)} |" for name, row in rows.items()]
    return "\n".join(lines)


def _cell(value: Any, language: Language = ENGLISH) -> str:
    """A value in a Markdown table: names may hold Markdown or HTML."""
    if isinstance(value, int | float):
        return language.number(value, len(str(value).partition(".")[2]))
    text = one_line(str(value))
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")

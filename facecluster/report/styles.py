"""The style that the report, the review and the page of duplicates share, and what else stands beside it."""

from __future__ import annotations

from importlib.resources import files

BASE_CSS = "base.css"


def template(name: str) -> str:
    """The text of a file beside the report's templates."""
    return (files("facecluster.report") / "templates" / name).read_text(encoding="utf-8")

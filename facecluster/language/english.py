"""Numbers with a word, as the command line says them: it is in English alone."""

from __future__ import annotations


def plural(n: int, one: str, many: str | None = None) -> str:
    """'1 face', '2,000 faces'."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"

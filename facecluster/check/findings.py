"""What is wrong with a store: where, what is lost by it, and how it is repaired."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

AGAIN = "Check again; if it stays so, copy the store to another disk"


def one_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


class Repair(StrEnum):
    """What --repair does with a file."""

    ASIDE = "aside"  # into the folder `damaged` of the store, and all that is made from it is made anew
    DELETE = "delete"  # of a command that was stopped: nobody needs it
    SEAL = "seal"  # write it again with a digest
    POINT = "point"  # make the newest whole run the current one
    SAY = "say"  # write the names of the current run into the journal again
    NAME = "name"  # write store.json again
    NOTHING = "nothing"  # only a copy of the store can help


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One file of a store that is not as it should be."""

    path: str  # in the store
    problem: str  # what was found
    next: str  # what is lost, or what makes it again
    repair: Repair
    serious: bool = True  # False: the store works with it

    def line(self) -> str:
        """The finding on one line."""
        return f"{self.path}: {self.problem}. {self.next}"

"""`facecluster check`: read everything that a store holds, and say what is not as it was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from facecluster.check import records, shards
from facecluster.check.findings import Finding, Repair
from facecluster.check.repair import repair
from facecluster.store import COMPACTING, Store
from facecluster.store.store_file import find_key_id


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` looked at and found."""

    shards: int
    findings: list[Finding] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)  # paths of findings

    @property
    def damage(self) -> list[Finding]:
        """The findings that matter and were not repaired."""
        return [finding for finding in self.findings if finding.serious and finding.path not in self.repaired]


def is_store(store: Store) -> bool:
    """Whether there is a store, or the tables of one whose store.json is lost."""
    return not list(records.check_store_file(store)) or bool(shards.tables(store))


def check(store: Store, *, mend: bool = False, tick: Callable[[int, int], None] = lambda done, total: None) -> Checked:
    """Read every shard, run, decision and index of a store, and compare it with its digest and with what belongs to it.

    Args:
        store: on a disk or an object store; with `mend` the caller holds its lock.
        mend: repair what can be.
        tick: called after each shard with how many were read, and of how many.

    Raises:
        StoreError: it is of a newer format, or can't be read now, or repairs can't be written.
    """
    findings = list(records.check_store_file(store))
    if findings and find_key_id(store) is not None:  # nothing can be read before store.json says so again
        if not mend:
            return Checked(0, findings)
        done = repair(store, findings)
        again = check(store, mend=mend, tick=tick)
        return Checked(again.shards, findings + again.findings, done + again.repaired)
    found = shards.tables(store)
    findings += shards.check_shards(store, found, tick)
    if not store.exists(COMPACTING):  # while rows stand twice, shards of one name need not fit
        findings += shards.check_references(store, found, {finding.path for finding in findings if finding.serious})
    # a shard that can't be read now, or is of a newer version, takes no run with it
    findings += records.check_records(store, {finding.path for finding in findings if finding.repair is Repair.ASIDE})
    return Checked(sum(map(len, found.values())), findings, repair(store, findings) if mend else [])

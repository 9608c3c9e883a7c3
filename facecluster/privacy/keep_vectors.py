"""Keep what is needed to know forgotten people again, if the user chose so: before they are forgotten, vectors of their surest faces."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np

from facecluster.errors import InputError
from facecluster.people import current_run
from facecluster.people.stand_ins import read_vectors
from facecluster.people.suppressed import VECTORS, suppress
from facecluster.privacy.targets import find_targets
from facecluster.store import Store


def keep_vectors(store: Store, who: Sequence[str], choice: str) -> int:
    """Keep vectors of the people among the user's words; gives how many.

    Args:
        store: locked.
        who: as for `forget`.
        choice: what is to be done about new faces of them: "ask" or "drop".

    Raises:
        InputError: no word means a person who has a group.
    """
    targets, known = find_targets(store, who)
    run = current_run(store)
    if known is None or run is None or not targets.people:
        raise InputError("expected a person who has a group, found none: --new-photos needs one to be known again by")
    total = 0
    for number in sorted(targets.people):
        rows = np.flatnonzero(known.faces.identity == number)
        surest = rows[np.argsort(-known.faces.probability[rows], kind="stable")][:VECTORS].tolist()
        ids = [known.faces.ids[row] for row in surest]
        found = read_vectors(store, f"embeddings/{run.model}", ids)
        vectors = [found[face] for face in ids if face in found]
        if vectors:
            total += suppress(store, run.model, secrets.token_hex(16), choice, np.stack(vectors).astype(np.float16))
    return total

"""What of an earlier grouping stays when a few faces have come in: see `facecluster.growing`.

The grouping starts from the earlier one if it was made with the same settings, at most a tenth of the faces came in or went since all were
grouped together, and nothing that the user had said was taken back: what decisions had joined would else stay joined without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import Decision
from facecluster.growing import TENTH
from facecluster.identify import IdentifyConfig
from facecluster.tables import IDENTITIES, Store

_SURENESS = ("sure", "even")  # settings that change how sure is what, not who is with whom


def earlier(
    store: Store, table: str, ids: Sequence[str], config: IdentifyConfig, said: Sequence[Decision], *, anew: bool = False
) -> tuple[NDArray[np.int64] | None, dict[str, Any]]:
    """Groups (n,) that the faces `ids` (n, sorted) have already, -1 = none, or None to group all; and what to note of it in the stamp.

    Args:
        store: where the earlier grouping is.
        table: of identities.
        ids: face_ids to be grouped.
        config: of the grouping.
        said: everything in the journal, oldest first.
        anew: group all.
    """
    fresh = {"kept": False, "changed": 0, "said": len(said)}
    stamp = (store.stamp(table, "00000") if store.shards(table) == ["00000"] else None) or {}
    noted, wanted = stamp.get("grown"), config.stamp("")
    if anew or not isinstance(noted, dict) or any(stamp.get(k) != v for k, v in wanted.items() if k not in ("inputs", *_SURENESS)):
        return None, fresh
    since = said[int(noted["said"]) :]
    if len(said) < int(noted["said"]) or any(d.act == "undo" or d.replaces or (d.act == "name" and not d.name) for d in since):
        return None, fresh
    data = store.read_all(table, IDENTITIES, ["face_id", "identity"])
    there = dict(zip(data["face_id"].to_pylist(), data["identity"].to_pylist(), strict=True))
    before = np.array([there.get(face, -1) for face in ids], dtype=np.int64)
    stays = sum(face in there for face in ids)
    changed = int(noted["changed"]) + (len(ids) - stays) + (len(there) - stays)
    if changed > TENTH * len(ids):
        return None, fresh
    return before, {"kept": True, "changed": changed, "said": len(said)}

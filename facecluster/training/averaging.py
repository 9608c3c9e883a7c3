"""The mean of the weights of two networks of one lineage: often better than either (Wortsman et al. 2022, "model soups")."""

from __future__ import annotations

from torch import Tensor

from facecluster.models.embedder import AttentionEmbedder


def kept_blocks(before: int, depth: int) -> dict[int, int]:
    """Where the blocks of a network are once it is grown: place in the deeper network -> place before."""
    return {round((i + 1) * depth / before) - 1: i for i in range(before)}


def average(first: dict[str, Tensor], second: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """(1 - share) of the first weights plus `share` of the second, as float16; the first network's depth."""
    if "position" not in first:  # a vision transformer
        return _mixed(first, second, share)
    depths = [int(AttentionEmbedder.from_weights(w).settings["depth"]) for w in (first, second)]  # type: ignore[call-overload]
    own = {at: i for i, at in enumerate(sorted(kept_blocks(*depths)))}
    matching = {}
    for name, value in second.items():
        parts = name.split(".")
        if parts[0] == "blocks":
            if int(parts[1]) not in own:
                continue
            parts[1] = str(own[int(parts[1])])
        matching[".".join(parts)] = value
    return _mixed(first, matching, share)


def _mixed(first: dict[str, Tensor], second: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    return {
        k: (v.float() * (1 - share) + second[k].float() * share).half().contiguous() if v.is_floating_point() else v
        for k, v in first.items()
    }

"""Forms of attention that ought to be cheaper, each on queries, keys and values (n, heads, tokens, d); each returns (n, heads, tokens, d).

Tokens of a picture stand row by row: side x side of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from facecluster.models.attention import attention_weights

Form = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v, written out: what the product runs on processors."""
    return attention_weights(q, k).to(v.dtype) @ v


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same by torch's fused kernel, which never holds the tokens x tokens weights (Dao et al., 2022, "FlashAttention")."""
    return F.scaled_dot_product_attention(q, k, v)


def alone(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """No attention at all: each token keeps its own value. What the others have to be better than."""
    return v


def linear(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """f(q) (f(k)^T v) / (f(q) sum f(k)) with f = elu + 1: linear in the number of tokens (Katharopoulos et al., 2020, equations 5 to 7).

    "Transformers are RNNs: Fast Autoregressive Transformers with Linear Attention".
    """
    q, k = F.elu(q) + 1, F.elu(k) + 1
    total = q @ k.sum(dim=-2).unsqueeze(-1)
    return (q @ (k.transpose(-2, -1) @ v)) / total.clamp_min(1e-6)


def windowed(window: int, shift: int = 0) -> Form:
    """Attention within windows of window x window tokens only (Liu et al., 2021, "Swin Transformer"), without its position bias.

    With `shift`, windows begin so many tokens further right and down. Those at the border wrap around, and tokens from opposite borders
    do not see each other.
    """

    def form(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        side = round(q.shape[-2] ** 0.5)
        if side % window:
            raise ValueError(f"expected windows that divide a grid of {side} tokens, found windows of {window}")
        parts = [_cut(x, side, window, shift) for x in (q, k, v)]
        if not shift:
            return _join(plain(*parts), side, window, 0)
        scores = parts[0] * q.shape[-1] ** -0.5 @ parts[1].transpose(-2, -1)
        hidden = ~_may_see(side, window, shift, q.device)
        return _join(scores.masked_fill(hidden, float("-inf")).softmax(dim=-1).to(v.dtype) @ parts[2], side, window, shift)

    return form


def _cut(x: Tensor, side: int, window: int, shift: int) -> Tensor:
    """(n, heads, side^2, d) -> (n, heads, windows, window^2, d)."""
    n, heads, _, d = x.shape
    grid = x.reshape(n, heads, side, side, d)
    grid = grid.roll((-shift, -shift), (2, 3)) if shift else grid
    count = side // window
    return grid.view(n, heads, count, window, count, window, d).transpose(3, 4).reshape(n, heads, count**2, window**2, d)


def _join(x: Tensor, side: int, window: int, shift: int) -> Tensor:
    n, heads, _, _, d = x.shape
    count = side // window
    grid = x.view(n, heads, count, count, window, window, d).transpose(3, 4).reshape(n, heads, side, side, d)
    grid = grid.roll((shift, shift), (2, 3)) if shift else grid
    return grid.reshape(n, heads, side * side, d)


def _may_see(side: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Which tokens of each window may see each other: (windows, window^2, window^2)."""
    wrapped = torch.arange(side, device=device) >= side - shift
    area = 2 * wrapped[:, None] + wrapped[None]
    cut = _cut(area.view(1, 1, -1, 1), side, window, 0)[0, 0, :, :, 0]
    return cut[:, :, None] == cut[:, None]


def received(weights: Tensor) -> Tensor:
    """How much attention each token gets: the mean of weights (n, heads, tokens, tokens) over heads and over those that look."""
    return weights.mean(dim=(1, 2))


def prune(x: Tensor, weights: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The `keep` tokens of (n, tokens, dim) that get most attention, in their order, and which they are (n, keep).

    As in Liang et al., 2022 ("Not All Patches Are What You Need"), but without a class token to ask, or a token that sums the rest.
    """
    at = received(weights).topk(keep, dim=1).indices.sort(dim=1).values
    return x.gather(1, at.unsqueeze(-1).expand(-1, -1, x.shape[-1])), at

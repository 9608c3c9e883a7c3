"""Getting models that others publish. The catalogue holds their cards, never their weights; nothing is fetched unless somebody asks.

All files lie on the Hugging Face hub. HF_ENDPOINT or `mirror` names another server with the same paths. A file that the hub's own cache has
(HF_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub) is taken from there. The hub's token (HF_TOKEN, or the file that `hf auth login`
wrote) goes to the hub, or to HF_ENDPOINT, and to no mirror.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from facecluster.errors import InputError, ModelError
from facecluster.models.card import About, about_of, read_toml
from facecluster.models.download import TIMEOUT, Tick, Wanted, fetch
from facecluster.models.folder import installed, models_folder
from facecluster.models.library import Model, add, find_model
from facecluster.models.onnx_session import HINT, sha256_of

CATALOGUE = Path(__file__).parent / "catalogue"
HUB = "https://huggingface.co"
# a detector and an embedder that belong together; the permissive pair first
PACKS = {
    "opencv": ("yunet", "sface"),
    "buffalo_l": ("scrfd_10g", "w600k_r50"),
    "buffalo_s": ("scrfd_500m", "w600k_mbf"),
    "antelopev2": ("scrfd_10g", "glintr100"),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that can be pulled."""

    about: About
    card: dict[str, Any]  # what the user's folder gets
    url: str
    size: int | None  # bytes, if known
    asks: bool  # whether its terms must be accepted


def offers(name: str | None = None) -> list[Offer]:
    """The models of a name of the catalogue or of a pack; None: all. Raises InputError for a name that is neither."""
    names = list(dict.fromkeys(part for pack in PACKS.values() for part in pack))
    if name is not None and name not in (*names, *PACKS):
        raise InputError(f"expected one of {', '.join([*PACKS, *names])}, found {name!r}: for a file of your own, see 'models add'")
    return [_offer(CATALOGUE / f"{n}.toml") for n in (names if name is None else PACKS.get(name, (name,)))]


def _offer(path: Path) -> Offer:
    card = read_toml(path)
    about, place = about_of(card, path), card.pop("download")
    return Offer(about, card, place["url"], place.get("size"), bool(card["model"].pop("ask", False)))


def pull(
    offer: Offer, *, mirror: str | None = None, replace: bool = False, tick: Tick | None = None, timeout: float = TIMEOUT,
    say: Callable[[str], None] = lambda text: None,
) -> Model:  # fmt: skip
    """Put a model of the catalogue into the user's folder; the caller has asked for what its licence wants.

    Args:
        offer: the model.
        mirror: address of a server with the hub's paths; None: HF_ENDPOINT, else the hub.
        replace: a model of the user with that name.
        tick: called with bytes that are there, and bytes in all.
        timeout: seconds without a byte after which a connection is given up.
        say: called with what happens instead of a download.

    Raises:
        InputError: the name is taken, or the folder can't be written.
        ModelError: the file can't be had, or is another one; onnxruntime is missing.
    """
    name, sha256 = offer.about.name, offer.about.sha256
    if name in installed() and not replace:
        known = find_model(name)
        if known.about.sha256 != sha256:
            raise InputError(f"expected a free name, found another model {name!r} in {models_folder()}: remove it, or give --replace")
        say(f"{name} is there already")
        return known
    if find_spec("onnxruntime") is None:
        raise ModelError(f"expected the package onnxruntime, which runs {name}, found none: {HINT}, then pull again")
    folder = models_folder() / ".downloads"
    cached = _in_hub_cache(offer.url, sha256)
    if cached is not None:
        say(f"{name} is in the hub's cache")
        return add(cached, offer.card, replace=replace)
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise ModelError(f"expected {name} in the hub's cache, found none, and HF_HUB_OFFLINE forbids to fetch it: unset it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{sha256}.lock"):
            got = fetch(_wanted(offer, mirror), folder, tick=tick, timeout=timeout)
            added = add(got, offer.card, replace=replace)
            got.unlink()
    except OSError as e:
        raise InputError(f"expected to write to {folder}, found: {e.strerror or e}. Choose another with FACECLUSTER_MODELS") from e
    return added


def _wanted(offer: Offer, mirror: str | None) -> Wanted:
    """Where to get a file, and with which token."""
    endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    base = (mirror or endpoint).rstrip("/")
    if urlsplit(base).scheme not in ("http", "https"):
        raise InputError(f"expected the http or https address of a mirror, found {base!r}: correct --mirror or HF_ENDPOINT")
    url = base + offer.url.removeprefix(HUB)
    token = None if mirror else _token()
    headers = {"Authorization": f"Bearer {token}"} if token else None
    return Wanted(url=url, sha256=offer.about.sha256, size=offer.size, headers=headers)


def _hub_home() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{cache}/huggingface").expanduser()


def _token() -> str | None:
    """The user's token for the hub, as its own client finds it."""
    if named := os.environ.get("HF_TOKEN", "").strip():
        return named
    path = Path(os.environ.get("HF_TOKEN_PATH") or _hub_home() / "token").expanduser()
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError):
        return None


def _in_hub_cache(url: str, sha256: str) -> Path | None:
    """The file in the hub's cache, where large files are named after their SHA-256; None if it is not there, or damaged."""
    owner, repository = url.removeprefix(f"{HUB}/").split("/")[:2]
    cache = Path(os.environ.get("HF_HUB_CACHE") or _hub_home() / "hub").expanduser()
    path = cache / f"models--{owner}--{repository}" / "blobs" / sha256
    return path if path.is_file() and sha256_of(path) == sha256 else None

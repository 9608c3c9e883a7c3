"""What a coded picture is, by its first bytes."""

from __future__ import annotations

import base64

_STARTS = {b"RIFF": "image/webp", b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


def mime_type(picture: bytes) -> str | None:
    """'image/jpeg', 'image/webp' or 'image/png'; None if it is no picture that the store holds and browsers show."""
    return next((kind for start, kind in _STARTS.items() if picture.startswith(start)), None)


def image_data_url(picture: bytes) -> str | None:
    """A picture as a data: URL; None if `mime_type` does not know it."""
    kind = mime_type(picture)
    return f"data:{kind};base64,{base64.b64encode(picture).decode()}" if kind else None

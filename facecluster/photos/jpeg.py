"""Kinds of JPEG that are whole, but that decoders of photos do not read: told by the frame header (ITU-T T.81, B.2.2)."""

from __future__ import annotations

_FRAMES = {
    0xC3: "a lossless one", 0xC5: "a hierarchical one", 0xC6: "a hierarchical one", 0xC7: "a hierarchical one",
    0xC9: "one with arithmetic coding", 0xCA: "one with arithmetic coding", 0xCB: "a lossless one",
    0xCD: "a hierarchical one", 0xCE: "a hierarchical one", 0xCF: "a hierarchical one", 0xF7: "a JPEG-LS one",
}  # fmt: skip
_USUAL = (0xC0, 0xC1, 0xC2)  # baseline, extended sequential, progressive: all with Huffman coding
_MAX_SEGMENTS = 10_000


def unread_kind(data: bytes) -> str:
    """What is rare about a JPEG, in words; '' if nothing is, or it has no frame header."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        marker, size = data[at + 1 : at + 2], int.from_bytes(data[at + 2 : at + 4])
        if data[at : at + 1] != b"\xff" or not marker or size < 2:
            return ""
        if marker[0] in _FRAMES or marker[0] in _USUAL:
            bits, channels = data[at + 4 : at + 5], data[at + 9 : at + 10]
            kinds = [_FRAMES.get(marker[0], "")]
            kinds.append(f"one of {bits[0]} bits a channel" if bits and bits[0] != 8 else "")
            kinds.append(f"one of {channels[0]} channels" if channels and channels[0] not in (1, 3, 4) else "")
            return next(filter(None, kinds), "")
        at += 2 + size
    return ""

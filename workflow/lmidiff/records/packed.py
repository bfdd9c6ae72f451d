"""Recorded files that are kept packed, under their name and :data:`ENDING`."""

import lzma
from pathlib import Path

ENDING = ".xz"
"""A quarter smaller than gzip; `xz -d`, Python and pandas open it."""


def pack(path: Path, copy: Path) -> None:
    """Write ``path`` as ``<copy>.xz``, the same bytes for the same content."""
    packed = lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME)
    copy.with_name(f"{copy.name}{ENDING}").write_bytes(packed)


def unpack(path: Path) -> bytes:
    """What a recorded file holds, packed or not."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.name.endswith(ENDING) else content

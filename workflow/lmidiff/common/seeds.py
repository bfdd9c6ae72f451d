"""Seeds by name: what is drawn depends on what it is for, never on batch, shard or device."""

import hashlib

import numpy as np


def seed_of(*parts: object) -> int:
    """A 63-bit seed from any named parts, for example ``seed_of(1, "sub-01", 12, "draw", 0)``."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator_of(*parts: object) -> np.random.Generator:
    """A NumPy generator seeded by :func:`seed_of`."""
    return np.random.default_rng(seed_of(*parts))

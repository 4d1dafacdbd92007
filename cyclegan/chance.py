"""Chance as a function of (seed, purpose, step): nothing has to be remembered to draw the same again."""

import hashlib


def seed_for(*names: int | str) -> int:
    """Return a number in [0, 2**63) that depends on all the names and on nothing else."""
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:8], "big") >> 1

"""One seed in, an independent seed for each purpose out."""

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A non-negative 63-bit seed that depends on `seed` and `purpose` only.

    `derive_seed(42, "shuffle", 3)` has nothing to do with `derive_seed(42, "masks", 3)`, nor with
    `derive_seed(43, "shuffle", 3)`; it is the same on every machine and in every version.
    """
    name = "/".join(str(part) for part in (seed, *purpose))
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1

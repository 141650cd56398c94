"""Random damage to files."""

import random

PIECES = [
    *(b'"', b"\n", b"\r", b"\t", b",", b"\0", b"\xff", b"#", b"-", b"{", b"[", b"\\ud800", b"\xef\xbb\xbf", b"B-"),
    *(b"NaN", b"1e999", b"-0", b"null", b"true", b"2021-13-45", b"99999999999999999999", b"\xf0\x9f\x98\x80"),
]


def mutated(content: bytes, rng: random.Random, changes: int) -> bytes:
    """The content with some bytes inserted, removed, changed or repeated, or cut short, so many times."""
    data = bytearray(content)
    for _ in range(changes):
        at, size = rng.randrange(len(data) + 1), rng.randint(1, 20)
        match rng.randrange(5):
            case 0:
                data[at:at] = rng.choice(PIECES)
            case 1:
                del data[at : at + size]
            case 2:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 3:
                data[at:at] = data[at // 2 : at // 2 + size]
            case 4:
                data = data[:at] or data
    return bytes(data)

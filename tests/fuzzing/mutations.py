"""Random damage to files: to their bytes, and to the values of JSON."""

import json
import random
from typing import Any

PIECES = [
    *(b'"', b"\n", b"\r", b"\t", b",", b"\0", b"\xff", b"#", b"-", b"{", b"[", b"\\ud800", b"\xef\xbb\xbf", b"B-"),
    *(b"NaN", b"1e999", b"-0", b"null", b"true", b"2021-13-45", b"99999999999999999999", b"\xf0\x9f\x98\x80"),
    *(b"&a [*a,*a]", b"${oc.env:HOME}", b"!!python/object:os.system", b"\x1b[31m", b"[" * 2000, b"9" * 5000),
]
VALUES: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        1,
        2**70,
        1e308,
        -1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        "a\x1b[2Jb",
        "../../x",
        "\ud800",
    ),
    *([], {}, [[]], [None], {"x": None}, ["x"] * 50, {"": {}}, "9" * 400),
]
"""What may stand in the place of a value of JSON."""


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


def places(value: Any) -> list[tuple[Any, Any]]:
    """All places in nested lists and dicts: the container, and the key or index in it."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def reshaped(content: bytes, rng: random.Random) -> bytes:
    """JSON of which one value is replaced, left out, doubled or wrapped; it is still valid JSON."""
    value = json.loads(content)
    found = places(value)
    if not found or rng.randrange(30) == 0:
        return json.dumps(rng.choice(VALUES)).encode()
    container, key = rng.choice(found)
    match rng.randrange(6):
        case 0:
            del container[key]
        case 1 if isinstance(container, list):
            container.insert(0, container[key])
        case 1:
            container[f"{key}x"] = container.pop(key)
        case 2:
            container[key] = [container[key]]
        case 3 if isinstance(container[key], int | float):
            container[key] = rng.choice(
                [container[key] + 1, -container[key], container[key] * 1e30, str(container[key])]
            )
        case _:
            container[key] = rng.choice(VALUES)
    return json.dumps(value).encode()

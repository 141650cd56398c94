"""Made-up archives of labelled series, whose classes differ in frequency."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

Labelled = tuple[np.ndarray, str]


def waves(
    count: int, seed: int = 0, *, classes: Sequence[str] = ("low", "mid", "high"), features: int = 1, length: int = 40,
    unequal: bool = False, noise: float = 0.3,
) -> list[Labelled]:  # fmt: skip
    """Series (T, D) with their classes, which take turns."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        steps = length - int(rng.integers(length // 2)) * unequal
        frequency = 0.25 + 0.35 * (i % len(classes))
        phases = rng.uniform(0, 6, features)
        values = np.sin(frequency * np.arange(steps)[:, None] + phases) + rng.normal(0, noise, (steps, features))
        found.append((values.round(3), classes[i % len(classes)]))
    return found


def text_of(values: np.ndarray) -> str:
    """The values of a series as a .ts file has them."""
    return ":".join(",".join("?" if np.isnan(v) else f"{v:g}" for v in column) for column in values.T)


def write_archive(path: Path, series: Sequence[Labelled], header: Sequence[str] | None = None) -> Path:
    """A .ts file; ``header`` replaces the lines before ``@data``."""
    names = list(dict.fromkeys(label for _, label in series))
    lengths = {len(values) for values, _ in series}
    usual = [
        "# made up", "@problemName Waves", "@timeStamps false",
        f"@univariate {str(series[0][0].shape[1] == 1).lower()}",
        f"@equalLength {str(len(lengths) == 1).lower()}", f"@classLabel true {' '.join(names)}",
    ]  # fmt: skip
    rows = [f"{text_of(values)}:{label}" for values, label in series]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*(usual if header is None else header), "@data", *rows]) + "\n")
    return path


def write_pair(folder: Path, count: int = 60, **options: object) -> Path:
    """A folder with Waves_TRAIN.ts and, with half as many series, Waves_TEST.ts."""
    write_archive(folder / "Waves_TRAIN.ts", waves(count, 1, **options))  # type: ignore[arg-type]
    write_archive(folder / "Waves_TEST.ts", waves(count // 2, 2, **options))  # type: ignore[arg-type]
    return folder

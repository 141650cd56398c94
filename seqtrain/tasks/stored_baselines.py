"""Scores of baselines on disk, with their outputs on each test example, from which they are compared with a model."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seqtrain.tasks.base import Evaluation


def write_baselines(directory: Path, scored: Mapping[str, Mapping[str, Evaluation]]) -> None:
    """Write scores.json, details.json and, of the test split, test.npz.

    Args:
        directory: where to.
        scored: who -> split -> scores, details and outputs.
    """
    table = {who: {split: each.metrics for split, each in splits.items()} for who, splits in scored.items()}
    details = {who: {split: each.details for split, each in splits.items()} for who, splits in scored.items()}
    (directory / "scores.json").write_text(json.dumps(table))
    (directory / "details.json").write_text(json.dumps(details))
    outputs = {
        f"{number} {name}": values
        for number, splits in enumerate(scored.values())
        for name, values in (splits["test"].outputs if "test" in splits else {}).items()
    }
    np.savez(directory / "test.npz", **outputs)  # type: ignore[arg-type]  # names with blanks are names too


def read_baselines(directory: Path) -> dict[str, dict[str, Evaluation]]:
    """What ``write_baselines`` wrote."""
    table = json.loads((directory / "scores.json").read_text())
    path = directory / "details.json"
    details = json.loads(path.read_text()) if path.exists() else {}  # earlier versions wrote none
    scored = {
        who: {
            split: Evaluation(scores, details=details.get(who, {}).get(split, {})) for split, scores in splits.items()
        }
        for who, splits in table.items()
    }
    with np.load(directory / "test.npz", allow_pickle=False) as outputs:
        for key, values in outputs.items():
            number, _, name = key.partition(" ")
            list(scored.values())[int(number)]["test"].outputs[name] = values
    return scored

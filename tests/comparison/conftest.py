"""Run directories like those of training, written without a model, with any scores and predictions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtrain.config import registry
from seqtrain.config.loading import to_yaml
from seqtrain.config.root import Config

MakeRun = Callable[..., Path]

SHOWN = {
    "classification": (["accuracy", "macro_f1"], "accuracy", True),
    "language_modelling": (["loss", "perplexity"], "loss", False),
    "forecasting": (["mse", "mae"], "mse", False),
}


def schema(group: str, kind: str, name: str, values: dict[str, Any]) -> Any:
    """One node of the configuration."""
    node = registry.find(group, kind).schema()
    for key, value in {"kind": kind, "name": name, **values}.items():
        assert hasattr(node, key)
        setattr(node, key, value)
    return node


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run directory; keyword arguments give what differs from the default."""

    def make(
        name: str,
        *,
        model: str = "gru",
        task: str = "classification",
        seed: int = 0,
        scores: dict[str, float] | None = None,
        predictions: dict[str, np.ndarray] | None = None,
        options: dict[str, Any] | None = None,
        baselines: dict[str, Any] | None = None,
        fingerprint: str = "f" * 32,
        spec: dict[str, Any] | None = None,
        size: int = 100,
        splits: tuple[str, ...] = ("validation", "test"),
        state: str = "finished",
        started: str = "2026-01-01T00:00:00+0000",
        seconds: float = 10.0,
        parameters: int = 1000,
        curve: dict[int, float] | None = None,
        folds_of: str = "",
        validation_size: int | None = None,
    ) -> Path:
        path = tmp_path / name
        (path / "predictions").mkdir(parents=True)
        options = options or {}
        groups = {
            group: {key.partition(".")[2]: value for key, value in options.items() if key.startswith(f"{group}.")}
            for group in ("data", "model", "trainer")
        }
        config = Config(
            data=schema("data", "docstrings", "docstrings", groups["data"]),
            task=schema("task", task, task, {}),
            model=schema("model", "recurrent", model, groups["model"]),
            trainer=schema("trainer", "trainer", "small_text", groups["trainer"]),
            seed=seed,
            size=options.get("size"),
        )
        (path / "config.yaml").write_text(to_yaml(config))
        shown, monitor, maximize = SHOWN[task]
        status: dict[str, Any] = {"state": state, "id": name, "started": started, "seconds": seconds}
        status |= {"best": {f"val/{monitor}": 0.5, "step": 3}}
        if state == "failed":
            status["error"] = "RunError: loss is nan"
        (path / "status.json").write_text(json.dumps(status))
        sizes = {"train": 1000} | dict.fromkeys(splits, size)
        sizes |= {"validation": validation_size} if validation_size else {}
        described: dict[str, Any] = {"folds_of": folds_of} if folds_of else {}
        described |= {"spec": spec or {}, "fingerprint": fingerprint, "sizes": sizes, "notes": [], "scoring": ""}
        (path / "data.json").write_text(json.dumps(described))
        own = scores or {monitor: 0.5}
        results: dict[str, Any] = {"model": model, "parameters": parameters, "best_step": 3}
        results |= {"monitor": monitor, "maximize": maximize, "shown": shown}
        table = {model: dict.fromkeys(splits, own)}
        table |= {who: dict.fromkeys(splits, values) for who, values in (baselines or {}).items()}
        if state == "finished":
            (path / "results.json").write_text(json.dumps(results | {"scores": table}))
        lines = [{"step": step, f"val/{monitor}": value} for step, value in (curve or {1: 0.3, 3: 0.5}).items()]
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if predictions is not None:
            np.savez(path / "predictions/test.npz", **predictions)  # type: ignore[arg-type]
        return path

    return make


Classifier = Callable[[np.ndarray], dict[str, Any]]


@pytest.fixture
def classifier() -> Classifier:
    """Scores and predictions of two classes for ``make_run``, correct where ``hits`` is true."""

    def make(hits: np.ndarray) -> dict[str, Any]:
        targets = np.arange(len(hits)) % 2
        guesses = np.where(hits, targets, 1 - targets)
        probabilities = np.where(np.arange(2) == guesses[:, None], 0.9, 0.1)
        rows = np.arange(len(hits))
        predictions = {"rows": rows, "probabilities": probabilities, "targets": targets}
        return {"scores": {"accuracy": float(hits.mean())}, "predictions": predictions, "size": len(hits)}

    return make

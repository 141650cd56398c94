"""Scores of baselines in the cache: of the same data and the same classes only."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.config.task import ClassificationConfig
from seqtrain.data.text.classification import TextClassification
from seqtrain.tasks.classification.task import Classification
from seqtrain.tasks.multilabel import baselines as multilabel

Compose = Callable[..., Config]


def test_scores_are_those_of_the_classes(small: Compose) -> None:
    """Metadata may name a class that no row has: the rows, and so their fingerprint, are the same without it."""
    data = cast(TextClassification, build_data(small()))
    for names in (["neg", "pos"], ["neg", "neutral", "pos"]):
        spec = replace(data.spec, class_names=names, class_counts=[1] * len(names))
        scored = Classification(ClassificationConfig(), spec).scored_baselines(data)
        assert {each["test"].outputs["probabilities"].shape[1] for each in scored.values()} == {len(names)}


def test_scores_of_labels_stand_under_their_names(composed: Compose, tmp_path: Path) -> None:
    rows = [{"text": f"a {i % 3} b {i % 2}", "label": [str(i % 2)] if i % 3 else []} for i in range(60)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = composed("task=multilabel", "data=text_files", f"data.path={tmp_path}/a.jsonl", "data.min_count=1")
    data = cast(TextClassification, build_data(config))
    for names in (["even", "odd"], ["odd", "even"]):
        for splits in multilabel.scored_baselines(data, names).values():
            assert list(splits["validation"].details["classes"]) == names

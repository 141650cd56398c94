"""scripts/benchmark-attention: the tables that it makes of finished runs, and where it writes them."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest

from recording.page import between
from seqtrain.config.root import Config
from seqtrain.errors import UserError
from seqtrain.runs.explanation import Explanation, Interval, MethodScores
from seqtrain.runs.json_files import write_json


@pytest.fixture
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("benchmark-attention")


def explanation(removal: str, **faithfulness: float) -> Explanation:
    """An explanation whose intervals are 0.01 wide to both sides."""
    scores = {}
    for name, value in faithfulness.items():
        interval = Interval(value, value - 0.01, value + 0.01)
        scores[name] = MethodScores(interval, interval, interval, interval, [0.5], [0.5], [0.5])
    return Explanation(9, "test", 200, removal, "probability", 0.9, [0.5], scores)


def test_the_table_has_seeds_means_and_shares(script: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "docstrings"
    for seed, value in ((0, 0.05), (1, 0.15)):
        run = folder / f"gru_attn-{seed}"
        run.mkdir(parents=True)
        scores = {"gru_attn": {"test": {"accuracy": 0.8 + 0.02 * seed}}}
        write_json(run / "results.json", {"model": "gru_attn", "parameters": 7, "scores": scores})
        usual = explanation("delete", attention=value, gradient_input=0.1, integrated_gradients=0.2, occlusion=0.4)
        write_json(folder / f"gru_attn-{seed}-delete.json", asdict(usual))
        write_json(folder / f"gru_attn-{seed}-unk.json", asdict(explanation("unk", attention=-value)))
    write_json(folder / "self_attn-0-delete.json", asdict(explanation("delete", attention=1)))  # unk is not there yet
    header, _, *rows = script.lines("docstrings", tmp_path)
    assert header.startswith("| model | accuracy on test | attention | gradient input |")
    assert rows == [
        "| `gru_attn` | 0.8100 | 0.050 [0.040, 0.060], 0.150 [0.140, 0.160] | 0.100 | 0.200 | 0.400 | 25% | -0.100 |"
    ]


def test_its_options_exist(script: ModuleType, composed: Callable[..., Config]) -> None:
    for model, data in zip(script.MODELS, script.DATA.values(), strict=False):
        config = composed(*data.options, *script.QUICK, f"model={model}")
        assert config.task.kind in ("classification", "forecasting")


def test_a_table_replaces_the_one_between_its_markers(script: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for name in script.DATA:
        start, end = f"<!-- attention on {name} -->", f"<!-- end of {name} -->"
        page.write_text(script.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
        changed = between(page, start, end, ["| a |", "|---|"])
        assert changed.count(f"{start}\n| a |\n|---|\n{end}\n") == 1
        page.write_text(changed, encoding="utf-8")
        assert between(page, start, end, ["| a |", "|---|"]) == changed
    page.write_text("# A page\n")
    with pytest.raises(UserError, match="add them where the table belongs"):
        between(page, start, end, [])

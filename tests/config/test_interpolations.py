"""A saved configuration holds values: ``${...}`` in it is refused, and a text with these characters stays a text."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seqtrain.config.loading import from_yaml, to_config, to_yaml
from seqtrain.config.root import Config
from seqtrain.errors import RunError

Run = Callable[..., subprocess.CompletedProcess[str]]
STORED = Path(__file__).parents[1] / "stored_runs"
SECRET = "hunter2-of-this-machine"


@pytest.mark.parametrize("name", ["plain", "a${b}", "${oc.env:HOME}", "\\${x}", "\\\\${x", "x${", "$\\{x}", "größer"])
def test_a_text_comes_back(small: Callable[..., Config], tmp_path: Path, name: str) -> None:
    config = small()
    config.data.path = f"/data/{name}"  # type: ignore[attr-defined]
    config.data.class_names = [name, "other"]  # type: ignore[attr-defined]
    for _ in range(2):
        (tmp_path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
        read = to_config(from_yaml(tmp_path / "config.yaml"))
        assert read == config
        config = read


def test_what_the_user_escapes_is_saved(composed: Callable[..., Config], tmp_path: Path) -> None:
    config = composed("data=text_files", r"data.path='/data/a\${b}'")
    assert config.data.path == "/data/a${b}"  # type: ignore[attr-defined]
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert to_config(from_yaml(tmp_path / "config.yaml")) == config


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("path: ${oc.env:SECRET}", "data.path"),
        ("path: x-\\\\${oc.env:SECRET}", "data.path"),
        ("kind: ${oc.env:SECRET}", "data.kind"),
        ("class_names: [a, '${oc.decode:${oc.env:SECRET}}']", "data.class_names"),
        ("path: ${task.name}", "data.path"),
        ("path: '${oc.create:{a:${oc.env:SECRET}}}'", "data.path"),
    ],
)
def test_an_interpolation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, key: str) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    saved = (STORED / "classifier/config.yaml").read_text()
    option = text.partition(":")[0]
    lines = [f"  {text}" if line.startswith(f"  {option}: ") else line for line in saved.splitlines()]
    assert f"  {text}" in lines, "not an option of this run"
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    with pytest.raises(RunError, match=f"{key}: refers to another value") as error:
        from_yaml(tmp_path / "config.yaml")
    assert SECRET not in str(error.value)


def test_a_whole_node_is_no_reference(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("data: ${oc.env:SECRET}\n")
    with pytest.raises(RunError, match="config.yaml: data: refers to another value"):
        from_yaml(tmp_path / "config.yaml")


def test_no_command_tells_a_secret(tmp_path: Path, run_in: Callable[[Path], Run]) -> None:
    run = shutil.copytree(STORED / "classifier", tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("/home/someone/experiments", "/${oc.env:SECRET}"))
    for command in (["eval", "run=run"], ["resume=run"], ["predict", "run=run", "input=-"], ["compare", "run"]):
        result = run_in(tmp_path)(*command, SECRET=SECRET)
        assert SECRET not in result.stdout + result.stderr and "Traceback" not in result.stderr
        if command[0] != "compare":  # it reads no data
            assert result.returncode == 1 and "data.path: refers to another value" in result.stderr

"""What an installed copy holds."""

import subprocess
import sys
import zipfile
from pathlib import Path

import seqtrain

ROOT = Path(__file__).parents[1]


def test_the_wheel_carries_every_module_and_every_yaml(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    folders = ROOT / "seqtrain", ROOT / "hydra_plugins"
    modules = {str(path.relative_to(ROOT)) for folder in folders for path in folder.rglob("*.py")}
    options = {f"seqtrain/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert len(options) > 10
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "seqtrain" / "kernels").iterdir()
        if path.suffix in (".cpp", ".h")
    }
    assert sources
    assert {name for name in held if name.startswith(("seqtrain/", "hydra_plugins/"))} == modules | options | sources
    assert any(name.endswith("entry_points.txt") for name in held)


def test_versions_agree() -> None:
    assert f'version = "{seqtrain.__version__}"' in (ROOT / "pyproject.toml").read_text()

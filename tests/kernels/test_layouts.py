"""Checks of the kernels against float64, compiled for other vector widths and numbers of registers, and run on Arm."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from seqtrain.kernels.compile import FOLDER, compilers
from seqtrain.kernels.machine import instruction_set

LAYOUTS = {
    "AVX-512": ["-DVECTOR_BYTES=64", "-DREGISTERS=32"],
    "AVX2": ["-DVECTOR_BYTES=32", "-DREGISTERS=16"],
    "NEON": ["-DVECTOR_BYTES=16", "-DREGISTERS=32"],
    "SSE": ["-DVECTOR_BYTES=16", "-DREGISTERS=16"],
}
OTHER = "AVX2" if instruction_set() == "AVX512" else "AVX-512"
"""Layout that is checked by default; all other tests use this machine's layout."""
NATIVE = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"


def check(which: str, folder: Path, compiler: list[str], run: list[str]) -> None:
    """Compile a check and run it."""
    program = folder / which
    source = Path(__file__).with_name(f"check_{which}.cpp")
    made = subprocess.run(
        [*compiler, "-std=c++17", "-Wno-psabi", f"-I{FOLDER}", str(source), "-o", str(program)],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    done = subprocess.run([*run, str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "right" in done.stdout


@pytest.mark.parametrize("which", ["recurrence", "pooling"])
@pytest.mark.parametrize(
    "layout", [pytest.param(name, marks=[] if name == OTHER else [pytest.mark.slow]) for name in LAYOUTS]
)
def test_layout_of(layout: str, which: str, tmp_path: Path) -> None:
    found = compilers()
    if not found:
        pytest.skip("no C++ compiler is found")
    check(which, tmp_path, [found[0][0], "-O1", NATIVE, *LAYOUTS[layout]], [])


@pytest.mark.slow
@pytest.mark.parametrize("which", ["recurrence", "pooling"])
def test_on_an_emulated_arm(which: str, tmp_path: Path) -> None:
    """Needs Debian's g++-aarch64-linux-gnu and qemu-user."""
    compiler, emulator = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")
    if compiler is None or emulator is None:
        pytest.skip("no cross compiler for Arm or no qemu-aarch64 is found")
    check(which, tmp_path, [compiler, "-O2", "-static"], [emulator])

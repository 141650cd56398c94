"""The compiled kernels: built by the system's compiler for this very CPU at first use, and cached."""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from seqtrain.cache_directory import cache_directory

SOURCES = sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in (".cpp", ".h"))
FLAGS = ["-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fPIC", "-shared"]
TIME_LIMIT = 300  # seconds

log = logging.getLogger(__name__)


class CompileError(Exception):
    """Why the kernels cannot be used here, in one line."""


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where they cannot be had, which is said once."""
    found = build()
    if isinstance(found, ctypes.CDLL):
        return found
    log.warning("the recurrent kernels cannot be compiled here, and torch's own, slower ones are used: %s", found)
    return None


def unavailable() -> str | None:
    """Why the kernels cannot be had; None where they can."""
    found = build()
    return found if isinstance(found, str) else None


@cache
def build() -> ctypes.CDLL | str:
    """The compiled kernels, or why they cannot be had."""
    try:
        return find_or_compile()
    except (CompileError, OSError) as error:
        return str(error)


def find_or_compile() -> ctypes.CDLL:
    """Load the kernels from the cache, or compile them with the first compiler that can.

    Raises:
        CompileError: if there is no compiler, or none that can.
        OSError: if not even a temporary folder can be written.
    """
    found = compilers()
    if not found:
        raise CompileError("no C++ compiler is found; install g++ or clang++, or set CXX")
    failures = []
    for compiler in found:
        try:
            return load(compiler)
        except CompileError as error:
            failures.append(str(error))
    raise CompileError("; ".join(failures))


def compilers() -> list[list[str]]:
    """Compilers that are there, each with the arguments it always takes: $CXX, then the usual names."""
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    return [words for name in names if (words := shlex.split(name)) and shutil.which(words[0])]


def load(compiler: list[str]) -> ctypes.CDLL:
    """Load what this compiler makes of the sources, from the cache if it has been made before.

    Raises:
        CompileError: if it fails.
    """
    name = f"{key(compiler)}.so"
    target = cache_directory() / "kernels" / name
    try:
        if target.exists():
            return ctypes.CDLL(str(target))
    except OSError:
        pass  # not a library, or one for another system: it is made anew
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Two processes may compile at once: each has a file of its own, and what takes the name last serves all.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
            made = run(compiler, Path(folder, name))
            made.replace(target)
        return ctypes.CDLL(str(target))
    except OSError:
        with tempfile.TemporaryDirectory() as folder:  # the cache cannot be written or not be loaded from
            return ctypes.CDLL(str(run(compiler, Path(folder, name))))


def run(compiler: list[str], target: Path) -> Path:
    """Compile to ``target``.

    Raises:
        CompileError: if the compiler fails.
    """
    log.info("compiling the recurrent kernels for this CPU, which is done once")
    sources = [str(path) for path in SOURCES if path.suffix == ".cpp"]
    try:
        result = subprocess.run(
            [*compiler, *FLAGS, *sources, "-o", str(target)], capture_output=True, text=True, timeout=TIME_LIMIT
        )
    except subprocess.TimeoutExpired as error:
        raise CompileError(f"{compiler[0]} took over {TIME_LIMIT} s") from error
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if "error" in line] or result.stderr.splitlines()
        raise CompileError(f"{compiler[0]} fails: {lines[0] if lines else f'exit code {result.returncode}'}")
    return target


def key(compiler: list[str]) -> str:
    """Digest of all that shapes the library: sources, flags, the compiler's version and the CPU."""
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, timeout=TIME_LIMIT).stdout
    parts = [*(path.read_text() for path in SOURCES), *FLAGS, *compiler, version, cpu()]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def cpu() -> str:
    """Model of the CPU and what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(sorted({line for line in lines if line.startswith(("model", "flags", "Features", "CPU part"))}))

"""The compiled kernels: built by the system's compiler for this very CPU at first use, and cached.

A unit is what one shared library holds: a cell, or the pooling. A run needs one or two of them. Their compilers work in
the background while data is read.
"""

import atexit
import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seqtrain.cache_directory import cache_directory

FOLDER = Path(__file__).parent
UNITS: dict[str, list[str]] = {
    **{cell: ["recurrence.cpp", f"-DCELL={cell.upper()}"]
       for cell in ("gru_after", "gru_before", "rnn_tanh", "rnn_relu", "lstm")},
    "additive_pooling": ["pooling.cpp"],
}  # fmt: skip
"""Source of each unit, and what its compiler is told besides."""
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=fast", "-fPIC", "-shared"]
TIME_LIMIT = 300  # seconds
HINTS = {
    "Linux": "install g++ (Debian, Ubuntu: apt install g++)",
    "Darwin": "install Apple's compiler (xcode-select --install)",
    "Windows": "run under WSL, where g++ can be installed",
}

log = logging.getLogger(__name__)


class CompileError(Exception):
    """Why a unit cannot be used here, in one line."""


@dataclass
class Compilation:
    """A compiler at work on a unit."""

    command: list[str]
    """Compiler and its own arguments, with which it is known again."""
    process: subprocess.Popen[str]
    folder: tempfile.TemporaryDirectory[str]
    """Where the library is made: two processes may compile at once, and each has a file of its own."""
    target: Path
    """Where it goes when it is whole."""

    @property
    def output(self) -> Path:
        """The library while it is being made."""
        return Path(self.folder.name, self.target.name)

    def stop(self) -> None:
        """End the compiler with all that it has started, and remove what it has made so far."""
        with suppress(ProcessLookupError):
            if os.name == "posix":
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


running: dict[str, Compilation] = {}
"""Compilers at work in the background, by unit."""


@atexit.register
def stop_compilers() -> None:
    """End the compilers of a process that ends before it needs them."""
    while running:
        running.popitem()[1].stop()


def start(units: Iterable[str]) -> None:
    """Begin to compile the units that are not in the cache, in the background; ``library`` waits for them."""
    commands = compilers()
    if not commands:
        return
    for unit in units:
        if unit not in running and not cached(unit, commands[0]).exists():
            try:
                running[unit] = start_compiler(unit, commands[0])
            except OSError:
                return  # `library` tries again, and says why


@cache
def library(unit: str) -> ctypes.CDLL | None:
    """A unit's library, compiled if it is not in the cache; None where it cannot be had, which is said once."""
    found = build(unit)
    if isinstance(found, ctypes.CDLL):
        return found
    warn_once(found)
    return None


@cache
def warn_once(reason: str) -> None:
    """Say why torch's layers are used."""
    log.warning("the fused kernels cannot be compiled here, and torch's own, slower layers are used: %s", reason)


def unavailable(units: Iterable[str]) -> str | None:
    """Why one of the units cannot be had; None where all can."""
    return next((found for unit in units if isinstance(found := build(unit), str)), None)


@cache
def build(unit: str) -> ctypes.CDLL | str:
    """A unit's library, or why it cannot be had."""
    failures = []
    commands = compilers()
    if not commands:
        return missing_compiler()
    for command in commands:
        try:
            return load(unit, command)
        except (CompileError, OSError) as error:
            failures.append(str(error))
    return "; ".join(failures)


def missing_compiler() -> str:
    """What to do where there is no compiler."""
    return f"no C++ compiler is found; {HINTS.get(platform.system(), 'install g++ or clang++')}, or set CXX"


def compilers() -> list[list[str]]:
    """Compilers that are there, each with the arguments it always takes: $CXX, then the usual names.

    Each is asked for code for this very CPU, and if it does not know how, for that of any of its kind.
    """
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    found = [words for name in names if (words := shlex.split(name)) and shutil.which(words[0])]
    native = "-mcpu=native" if platform.machine().lower() in ("arm64", "aarch64") else "-march=native"
    system = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    return [[*words, *flags, *system] for words in found for flags in ([native], [])]


def load(unit: str, command: list[str]) -> ctypes.CDLL:
    """Load what this compiler makes of a unit, from the cache if it has been made before.

    Raises:
        CompileError: if it fails.
        OSError: if not even a temporary folder can be written.
    """
    running_compilation = running.pop(unit, None)
    if running_compilation is not None and running_compilation.command != command:
        running_compilation.stop()
        running_compilation = None
    target = cached(unit, command)
    try:
        if running_compilation is None and target.exists():
            return ctypes.CDLL(str(target))
    except OSError:
        pass  # not a library, or one for another system: it is made again
    compilation = running_compilation or start_compiler(unit, command)
    try:
        wait_for_compiler(compilation)
        try:
            compilation.output.replace(target)
            return ctypes.CDLL(str(target))
        except OSError:  # the cache cannot be written or not be loaded from
            return ctypes.CDLL(str(compilation.output))
    finally:
        compilation.folder.cleanup()


def cached(unit: str, command: list[str]) -> Path:
    """Where the cache has a unit's library."""
    return cache_directory() / "kernels" / f"{unit}-{key(unit, command)}.so"


def start_compiler(unit: str, command: list[str]) -> Compilation:
    """Start a compiler.

    Raises:
        OSError: if not even a temporary folder can be written.
    """
    target = cached(unit, command)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=".")
    except OSError:
        folder = tempfile.TemporaryDirectory()
    source, *defines = UNITS[unit]
    arguments = [*FLAGS, *defines, str(FOLDER / source), "-o", str(Path(folder.name, target.name))]
    process = subprocess.Popen(
        [*command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    return Compilation(command, process, folder, target)


def wait_for_compiler(compilation: Compilation) -> None:
    """Wait for a compiler.

    Raises:
        CompileError: if it fails.
    """
    name = compilation.command[0]
    if compilation.process.poll() is None:
        log.info("waiting for %s: the kernels are compiled for this CPU, which is done once", name)
    try:
        errors = compilation.process.communicate(timeout=TIME_LIMIT)[1]
    except subprocess.TimeoutExpired as error:
        compilation.stop()
        raise CompileError(f"{name} took over {TIME_LIMIT} s") from error
    if code := compilation.process.returncode:
        lines = [line for line in errors.splitlines() if "error" in line] or errors.splitlines()
        raise CompileError(f"{name} fails: {lines[0] if lines else f'exit code {code}'}")


def key(unit: str, command: list[str]) -> str:
    """Digest of all that shapes a library: sources, flags, the compiler's version and the CPU."""
    source, *defines = UNITS[unit]
    parts = [path.read_text() for path in [FOLDER / source, *sorted(FOLDER.glob("*.h"))]]
    parts += [*FLAGS, *defines, *command, version(tuple(command)), cpu()]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


@cache
def version(command: tuple[str, ...]) -> str:
    """What a compiler says of itself."""
    return subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=TIME_LIMIT).stdout


@cache
def cpu() -> str:
    """Model of the CPU and what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(sorted({line for line in lines if line.startswith(("model", "flags", "Features", "CPU part"))}))

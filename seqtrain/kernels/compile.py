"""Compilation of the kernels: built by the system's C++ compiler for this CPU on first use, then cached.

A unit is the content of one shared library: one recurrent cell, or the pooling. A run needs one or two units. Compilers
run in the background while data is read.
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
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seqtrain.errors import ConfigError
from seqtrain.kernels.stored import Workshop, find, keep

FOLDER = Path(__file__).parent
UNITS: dict[str, list[str]] = {
    **{cell: ["recurrence.cpp", f"-DCELL={cell.upper()}"]
       for cell in ("gru_after", "gru_before", "rnn_tanh", "rnn_relu", "lstm")},
    "additive_pooling": ["pooling.cpp"],
}  # fmt: skip
"""Unit -> source file and macro definitions for the compiler."""
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=fast", "-fPIC", "-shared"]
OUTPUT = "library.so"
TIME_LIMIT = 300  # seconds
HINTS = {
    "Linux": "install g++ (Debian, Ubuntu: apt install g++)",
    "Darwin": "install Apple's compiler (xcode-select --install)",
    "Windows": "run under WSL, where g++ can be installed",
}

log = logging.getLogger(__name__)


class CompileError(Exception):
    """Why a unit cannot be compiled here, in one line."""


@dataclass
class Compilation:
    """A running compiler."""

    command: list[str]
    """Compiler with its own arguments; identifies the compiler."""
    process: subprocess.Popen[str]
    workshop: Workshop
    """Folder of the output. Each compiler has its own, so several processes may compile at once."""

    @property
    def output(self) -> Path:
        """Path of the library while it is compiled."""
        return self.workshop.path / OUTPUT

    def stop(self) -> None:
        """Kill the compiler with all its child processes, and remove its output."""
        with suppress(ProcessLookupError):
            if os.name == "posix":
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.communicate()
        self.workshop.close()


running: dict[str, Compilation] = {}
"""Compilers running in the background, by unit."""


@atexit.register
def stop_compilers() -> None:
    """Kill the compilers that are still running when the process exits."""
    while running:
        running.popitem()[1].stop()


def start(units: Iterable[str]) -> None:
    """Start compiling the units that are not cached, in the background. ``library`` waits for them."""
    commands = compilers()
    if not commands:
        return
    for unit in units:
        if unit not in running and find(cached_name(unit, commands[0])) is None:
            try:
                running[unit] = start_compiler(unit, commands[0])
            except OSError:
                return  # `library` tries again and reports the error


@cache
def library(unit: str) -> ctypes.CDLL | None:
    """Library of a unit, compiled if it is not cached; None, with one warning, if it cannot be compiled."""
    found = build(unit)
    if isinstance(found, ctypes.CDLL):
        return found
    warn_once(found)
    return None


@cache
def warn_once(reason: str) -> None:
    """Warn once for each reason that torch's layers replace the fused kernels."""
    log.warning("the fused kernels cannot be compiled here, and torch's own, slower layers are used: %s", reason)


def unavailable(units: Iterable[str]) -> str | None:
    """The reason why one of the units cannot be compiled; None if all can."""
    return next((found for unit in units if isinstance(found := build(unit), str)), None)


@cache
def build(unit: str) -> ctypes.CDLL | str:
    """Library of a unit, or the reason why it cannot be compiled."""
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
    """Error message for a machine without a compiler."""
    return f"no C++ compiler is found; {HINTS.get(platform.system(), 'install g++ or clang++')}, or set CXX"


def compilers() -> list[list[str]]:
    """Commands of the installed compilers, each with its fixed arguments: $CXX first, then the usual names.

    Each compiler is tried with code for this CPU, then with portable code.

    Raises:
        ConfigError: if $CXX cannot be split into words.
    """
    try:
        chosen = shlex.split(os.environ.get("CXX", ""))
    except ValueError as error:
        raise ConfigError(f"CXX={os.environ['CXX']}: is no command ({error}); correct or unset it") from error
    names = [chosen, ["c++"], ["g++"], ["clang++"]]
    found = [words for words in names if words and shutil.which(words[0])]
    native = "-mcpu=native" if platform.machine().lower() in ("arm64", "aarch64") else "-march=native"
    system = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    return [[*words, *flags, *system] for words in found for flags in ([native], [])]


def load(unit: str, command: list[str]) -> ctypes.CDLL:
    """Load a unit's library from the cache, or compile it with this compiler.

    Raises:
        CompileError: if the compiler fails.
        OSError: if no temporary folder can be written.
    """
    running_compilation = running.pop(unit, None)
    if running_compilation is not None and running_compilation.command != command:
        running_compilation.stop()
        running_compilation = None
    name = cached_name(unit, command)
    with suppress(OSError):  # for another system: compile again
        if running_compilation is None and (found := find(name)) is not None:
            return ctypes.CDLL(str(found))
    compilation = running_compilation or start_compiler(unit, command)
    try:
        wait_for_compiler(compilation)
        output, home = compilation.output, compilation.workshop.home
        if home is not None:
            with suppress(OSError):  # it is not writable any more
                output = keep(output, home, name)
        return ctypes.CDLL(str(output))
    finally:
        compilation.workshop.close()


def cached_name(unit: str, command: list[str]) -> str:
    """Name of a unit's library in the cache, without the digest of its content."""
    return f"{unit}-{key(unit, command)}"


def start_compiler(unit: str, command: list[str]) -> Compilation:
    """Start compiling a unit.

    Raises:
        OSError: if no temporary folder can be written.
    """
    workshop = Workshop()
    source, *defines = UNITS[unit]
    arguments = [*FLAGS, *defines, str(FOLDER / source), "-o", str(workshop.path / OUTPUT)]
    try:
        process = subprocess.Popen(
            [*command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", start_new_session=True,
        )  # fmt: skip
    except OSError:
        workshop.close()
        raise
    return Compilation(command, process, workshop)


def wait_for_compiler(compilation: Compilation) -> None:
    """Wait until a compiler ends.

    Raises:
        CompileError: if it fails or takes too long.
    """
    name = compilation.command[0]
    if compilation.process.poll() is None:
        log.info("waiting for %s: it compiles the kernels for this CPU, once", name)
    try:
        errors = compilation.process.communicate(timeout=TIME_LIMIT)[1]
    except subprocess.TimeoutExpired as error:
        compilation.stop()
        raise CompileError(f"{name} took over {TIME_LIMIT} s") from error
    if code := compilation.process.returncode:
        lines = [line for line in errors.splitlines() if "error" in line] or errors.splitlines()
        raise CompileError(f"{name} failed: {lines[0] if lines else f'exit code {code}'}")


def key(unit: str, command: list[str]) -> str:
    """Hash of everything that determines a library: sources, flags, compiler version and CPU."""
    source, *defines = UNITS[unit]
    parts = [path.read_text() for path in [FOLDER / source, *sorted(FOLDER.glob("*.h"))]]
    parts += [*FLAGS, *defines, *command, version(tuple(command)), cpu()]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


@cache
def version(command: tuple[str, ...]) -> str:
    """Output of the compiler's ``--version``."""
    asked = [*command, "--version"]
    return subprocess.run(asked, capture_output=True, encoding="utf-8", errors="replace", timeout=TIME_LIMIT).stdout


@cache
def cpu() -> str:
    """Model and features of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(sorted({line for line in lines if line.startswith(("model", "flags", "Features", "CPU part"))}))

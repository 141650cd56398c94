"""``seqtrain`` with its arguments in a process of its own, forked from one that has imported torch already.

A new interpreter spends 2 to 4 seconds on imports before it reads its arguments, a fork none. From there on it is the
real command: ``seqtrain.cli.main.main`` with arguments, streams, folder, environment, signals and exit code of its own.
`tests/test_cli.py` and the tests of torchrun also start it as users do, by ``python -m seqtrain``.
"""

import atexit
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import IO, Any, NoReturn

WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["tests.warm"])
READ_AT_START = ("PYTHON", "OMP_", "MKL_", "KMP_", "GOMP_")
"""Beginnings of variables that Python or torch read when they start: a fork would not see them."""


def environment(**changes: str) -> dict[str, str]:
    """That of the tests with changes, without what turns one-line errors into tracebacks."""
    return {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"} | changes


CLOSED, BROKEN, FULL = "closed", "broken", "/dev/full"
"""Streams that cannot be used: closed, a pipe whose reader has ended, a full device."""


def opened(path: str, flags: int) -> int:
    """The descriptor of a stream."""
    if path != BROKEN:
        return os.open(os.devnull if path == CLOSED else path, flags)
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def enter(
    arguments: list[str], folder: Path, variables: dict[str, str], streams: list[str], file_size: int
) -> NoReturn:
    """In the fork: become the command. Streams are the files of stdin, stdout and stderr."""
    from seqtrain.cli.main import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    for number, path in enumerate(streams):
        os.dup2(opened(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if streams[number] == CLOSED:  # as Python itself then begins
            os.close(number)
            setattr(sys, name, None)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    sys.argv = ["seqtrain", *arguments]
    sys.path.insert(0, str(folder))
    if file_size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter does at its end
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Command:
    """The command, running; as `subprocess.Popen` as far as tests use it.

    Args:
        folder: Where it runs.
        arguments: What a user writes after ``seqtrain``.
        stdin: What it reads.
        file_size: No file grows beyond so many bytes; 0 sets no limit.
        variables: Changes to the environment.
        streams: What stdin (0), stdout (1) and stderr (2) are, where that is not a file.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        stdin: str = "",
        file_size: int = 0,
        variables: dict[str, str] | None = None,
        streams: dict[int, str] | None = None,
    ) -> None:
        changes = variables or {}
        assert not any(name.startswith(READ_AT_START) for name in changes), "read at the start: use subprocess"
        self.arguments = list(arguments)
        self.files: list[IO[Any]] = [tempfile.NamedTemporaryFile() for _ in range(3)]
        self.files[0].write(stdin.encode("utf-8", "surrogateescape"))
        self.files[0].flush()
        paths = [(streams or {}).get(number, file.name) for number, file in enumerate(self.files)]
        self.process = WARM.Process(
            target=enter, args=(self.arguments, folder, environment(**changes), paths, file_size)
        )
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, or minus the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: It has not ended after so many seconds.
        """
        self.process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self.arguments, timeout or 0)
        return code

    def finish(self, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """Wait, and return exit code and text; bytes that are not UTF-8 are surrogates."""
        try:
            code = self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        said = [Path(file.name).read_bytes().decode("utf-8", "surrogateescape") for file in self.files[1:]]
        for file in self.files:
            file.close()
        return subprocess.CompletedProcess(self.arguments, code, *said)


def seqtrain(folder: Path, *arguments: str, stdin: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a folder to its end."""
    return Command(folder, *arguments, stdin=stdin, variables=variables).finish()

"""TensorBoard on a folder of runs, with columns of the HParams page that are chosen for them.

A summary of the columns rules all runs in TensorBoard's log directory. In a sweep's folder it would hide those of the
folders above. So the log directory is a temporary one, with links to the runs and the summary.
"""

import logging
import time
from contextlib import redirect_stderr, suppress
from importlib.util import find_spec
from io import StringIO
from os.path import lexists
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from seqtrain.commands.board_columns import Row, columns, read_row
from seqtrain.comparison.runs import find_runs
from seqtrain.errors import ConfigError, Interrupted, UserError
from seqtrain.paths import expanded
from seqtrain.training.event_files import without_tensorflow, write_events

log = logging.getLogger(__name__)

SECONDS = 10.0
"""Between two looks for new runs."""
COLUMNS = "columns"
"""Beginning of the name under which TensorBoard lists the summary of the columns among the runs."""


class LogDirectory:
    """A log directory of TensorBoard with the runs of a folder.

    Args:
        folder: runs are one or two levels below it, or it is one.
        path: the log directory, an empty folder.
    """

    def __init__(self, folder: Path, path: Path):
        self.folder, self.path = folder, path
        self.rows: dict[Path, Row] = {}
        self.versions = 0
        self.written: Any = None

    def update(self) -> int:
        """Link the runs that came, and write the columns if they changed.

        Returns:
            The number of runs.

        Raises:
            ConfigError: if the folder does not exist.
            RunError: if it contains no run.
        """
        runs = find_runs(str(self.folder))
        for run in runs:
            link = self.path / (run.relative_to(self.folder) if run != self.folder else run.resolve().name)
            link.parent.mkdir(exist_ok=True)
            if not lexists(link) and not link.parent.is_symlink():  # a run within a run is seen with it
                link.symlink_to(run.resolve(), target_is_directory=True)
            if run not in self.rows and (row := read_row(run)) is not None:
                self.rows[run] = row
        self.rows = {run: self.rows[run] for run in runs if run in self.rows}
        summary = columns(list(self.rows.values()))
        if self.rows and summary != self.written:
            self.write(summary)
        return len(runs)

    def write(self, summary: Any) -> None:
        """Write the columns. TensorBoard keeps what it read first of a run, so that new columns are a new one."""
        self.written = summary
        before, self.versions = self.place, self.versions + 1
        self.place.mkdir()
        write_events(self.place / "events.out.tfevents.columns", [(0, summary)])
        if before.exists():
            (before / "events.out.tfevents.columns").unlink()
            before.rmdir()

    @property
    def place(self) -> Path:
        """Where the latest columns are."""
        return self.path / f"{COLUMNS}-{self.versions}"


def board(folder: str, port: int | None, host: str) -> None:
    """Show the runs in a folder in TensorBoard, until Ctrl-C.

    Args:
        folder: the folder.
        port: None takes 6006 or, if it is in use, one of the next.
        host: address to listen at.

    Raises:
        ConfigError: if TensorBoard is not installed or cannot listen there, or the folder does not exist.
        RunError: if the folder contains no run.
    """
    if find_spec("tensorboard") is None:
        raise ConfigError("board: TensorBoard is not installed; pip install tensorboard")
    without_tensorflow()
    with TemporaryDirectory(prefix="seqtrain-board-") as temporary:
        directory = LogDirectory(expanded(folder), Path(temporary))
        count = directory.update()
        address = serve(directory.path, port, host)
        print(address, flush=True)
        log.info("%s: %d run%s in TensorBoard at %s; Ctrl-C ends it", folder, count, "s" * (count != 1), address)
        try:
            while True:
                time.sleep(SECONDS)
                with suppress(UserError):  # all runs were removed; others may come
                    directory.update()
        except Interrupted:
            return


def serve(directory: Path, port: int | None, host: str) -> str:
    """Start TensorBoard in a thread; returns its address."""
    from tensorboard import program

    server = program.TensorBoard()
    server.configure(logdir=str(directory), host=host, port=port)
    try:
        with redirect_stderr(StringIO()):  # an advice to those who develop TensorBoard
            return server.launch()
    except program.TensorBoardServerException as error:
        given = f"port={port}" if port is not None else f"host={host}"
        raise ConfigError(f"{given}: TensorBoard cannot listen there ({error}); give another host or port") from error

"""Entry point: turns errors and signals into one line and an exit code.

All but this is imported inside, so that Ctrl-C during the imports is one line too.
"""

import logging
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from seqtrain.console import open_streams
from seqtrain.errors import Interrupted, PrintError
from seqtrain.interruption import SIGNALS, handle
from seqtrain.printable import escaped

KEYBOARD = 128 + signal.SIGINT


def main() -> None:
    """Entry point of ``seqtrain`` and ``python -m seqtrain``."""
    open_streams()
    pressed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        raise Interrupted(number)  # Python ends by the signal, not by our exit code, after some KeyboardInterrupts

    full_error = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra then raises what it would print, and the line below is ours
    for number in SIGNALS:
        if number != signal.SIGINT:
            handle(number)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, note)
    try:
        from seqtrain.cli.dispatch import dispatch
        from seqtrain.cli.head_start import share_the_machine

        share_the_machine()
        logging.raiseExceptions = False  # a log file on a full disk would print a traceback for each line
        dispatch(sys.argv[1:])
        sys.stdout.flush()
    except SystemExit:
        raise
    except Interrupted as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it to what is ending already
        end(f"interrupted by {error}", error.exit_code)
    except BaseException as error:
        if pressed or isinstance(error, KeyboardInterrupt):  # a library may have made another error of it
            end("interrupted by SIGINT", KEYBOARD)
        if isinstance(error, PrintError) and isinstance(error.__cause__, BrokenPipeError):
            return  # the reader, `head` say, has what it wanted
        fail(error, full_error)


def fail(error: BaseException, full_error: bool) -> NoReturn:
    """End by an error: in one line where a user can mend it, else, and with ``full_error``, by its traceback."""
    from seqtrain.cli.composing import JobFailed
    from seqtrain.cli.one_line import EXPECTED, one_line

    cause = error.__cause__ if isinstance(error, JobFailed) else error
    if isinstance(cause, EXPECTED) and not full_error:
        end(f"error: {one_line(cause)}", 1)
    raise cause or error


def end(line: str, code: int) -> NoReturn:
    """Print the last line, which may quote what files hold, and exit."""
    with suppress(PrintError):
        sys.stdout.flush()
    print(f"seqtrain: {escaped(line)}", file=sys.stderr)
    sys.exit(code)

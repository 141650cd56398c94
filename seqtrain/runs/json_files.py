"""JSON files of runs and sweeps."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from seqtrain.atomic import replacing
from seqtrain.errors import RunError


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: a reader sees the old file or the new file, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run; raises RunError if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); is {path.parent} a run directory?") from error
    except ValueError as error:
        raise RunError(f"{path}: is not valid JSON ({error}); restore it or train again") from error


def read_json_if_valid(path: Path) -> dict[str, Any]:
    """Content of an optional JSON file of a run; empty if it is missing or damaged."""
    with suppress(RunError):
        facts = read_json(path)
        return facts if isinstance(facts, dict) else {}
    return {}

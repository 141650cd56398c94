"""Variables of ``torchrun`` that are damaged are named before any work."""

import pytest

from seqtrain.errors import ConfigError
from seqtrain.torchrun import local_rank, world_size

SOUND = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def test_sound_variables() -> None:
    assert world_size(SOUND) == 2 and local_rank(SOUND) == 0
    assert world_size({}) == 1 and local_rank({}) is None
    assert world_size({"WORLD_SIZE": "1"}) == 1


@pytest.mark.parametrize("value", ["abc", "", "-1", "1.5", "\u0663", " 2", "1e3", "9" * 5000])
@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT"])
def test_what_is_no_number(name: str, value: str) -> None:
    read = local_rank if name == "LOCAL_RANK" else world_size
    with pytest.raises(ConfigError, match=f"^{name}=.{{,40}}: must be a whole number from"):
        read(SOUND | {name: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0: must be a whole number from 1"),
        ({"RANK": "2"}, "RANK=2: must be below WORLD_SIZE=2"),
        ({"MASTER_PORT": "65536"}, "MASTER_PORT=65536: must be a whole number from 1 to 65535"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR: must be set"),
    ],
)
def test_what_does_not_fit(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        world_size(SOUND | changes)

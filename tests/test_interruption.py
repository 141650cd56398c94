import signal
from collections.abc import Iterator

import pytest

from seqtrain.errors import Interrupted
from seqtrain.interruption import Interruption, handle


@pytest.fixture(autouse=True)
def handlers_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_that_nohup_has_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    handle(signal.SIGHUP)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGHUP)
    assert interruption.requested is None


def test_a_closed_terminal_is_never_impatient() -> None:
    handle(signal.SIGHUP)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(Interrupted, match="SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
    assert interruption.requested == signal.SIGTERM
    signal.raise_signal(signal.SIGHUP)  # of the same terminal, while the outcome is written


def test_a_signal_that_torchrun_passes_on_is_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        interruption.since -= 60
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)

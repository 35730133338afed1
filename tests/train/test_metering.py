"""What is said of a running stage: how much of the machine it uses, never more than all of it."""

import torch

from chatapp.train.metering import Meter
from chatapp.train.parallel import Ranks
from chatapp.train.progress import Progress, Reporter


class Heard(Reporter):
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.reports: list[Progress] = []

    def report(self, progress: Progress) -> None:
        self.reports.append(progress)

    def say(self, text: str) -> None:
        raise AssertionError(text)


def test_a_machine_that_was_busy_when_it_was_measured_is_not_used_twice_over() -> None:
    heard = Heard()
    meter = Meter("pretrain", 100, heard, None, Ranks())
    meter.peak = 1.0  # an operation a second: as if others had taken all the rest
    meter.add(torch.tensor(2.0), 100, 1e9)
    meter.report(10, 1e-3, None)
    (report,) = heard.reports
    assert report.mfu == 1.0
    assert meter.peak > 1.0

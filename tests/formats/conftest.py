"""Every family once, the command as a child process, and the screen."""

import pytest

from tests.cli.conftest import chatapp, environment
from tests.formats import calling, thinking
from tests.formats.family import Family
from tests.ui.conftest import paths, run

__all__ = ["chatapp", "environment", "paths", "run"]

_FAMILIES = (*thinking.FAMILIES, *calling.FAMILIES)


@pytest.fixture(params=_FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param

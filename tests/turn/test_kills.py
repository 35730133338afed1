"""Twenty rounds of the campaign of kills; `python -m bench.kills` plays a thousand."""

import sys

import pytest

from bench.kills import draw, run


@pytest.mark.skipif(sys.platform != "linux", reason="finds the engine in /proc")
def test_a_kill_at_any_moment_loses_next_to_nothing() -> None:
    results = run(seed=7, rounds=20, jobs=2, report=False)
    assert {(result.plan.mode, result.plan.victim) for result in results} >= {
        ("ask", "engine"),
        ("ask", "chatapp"),
        ("chat", "engine"),
        ("chat", "chatapp"),
    }
    assert [(result.plan, result.faults) for result in results if result.faults] == []
    assert any(result.status == "interrupted" and result.kept for result in results)


def test_a_seed_is_a_campaign() -> None:
    assert [draw(1, number) for number in range(50)] == [draw(1, number) for number in range(50)]
    assert draw(1, 3) != draw(2, 3)

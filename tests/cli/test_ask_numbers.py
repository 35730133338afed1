"""`chatapp ask`: sampling parameters that are refused, and those that are carried."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_a_banned_token_reaches_the_engine(chatapp: Run) -> None:
    done = chatapp("ask", "--no-save", "--logit-bias", "5=-inf", "--logit-bias", "6=-1e300", "hi")
    assert (done.returncode, done.stdout) == (0, "hi\n")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--logit-bias", "5=inf"),
        ("--logit-bias", "5=nan"),
        ("--logit-bias", "5=1e400"),
        ("--top-n-sigma", "inf"),
        ("--dry-multiplier", "inf"),
        ("--mirostat-tau", "nan"),
        ("--top-k", "9" * 30),
    ],
)
def test_numbers_without_bounds_are_refused(chatapp: Run, flag: str, value: str) -> None:
    done = chatapp("ask", "--no-save", flag, value, "hi")
    assert (done.returncode, done.stdout) == (2, "")
    assert flag in done.stderr
    assert "at most" in done.stderr


def test_an_empty_grammar_is_refused(chatapp: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.gbnf").write_text("\ufeff \n", encoding="utf-8")
    done = chatapp("ask", "--no-save", "--grammar", str(tmp_path / "empty.gbnf"), "hi")
    assert (done.returncode, done.stdout) == (2, "")
    assert "empty.gbnf is empty: there is no grammar to follow." in done.stderr

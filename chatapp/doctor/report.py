"""The report: facts by section, and findings that say what they mean."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from chatapp.errors import ChatAppError
from chatapp.paths import Paths

Level = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    level: Level
    """`error`: something does not work; `warning`: it works worse than it could."""
    topic: str
    text: str
    hint: str = ""
    """What to do; commands can be copied as they are."""


@dataclass(slots=True)
class Report:
    """Everything `chatapp doctor` knows."""

    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, level: Level, topic: str, text: str, hint: str = "") -> None:
        """Note a finding."""
        self.findings.append(Finding(level, topic, text, hint))

    @property
    def broken(self) -> bool:
        """Whether something does not work."""
        return any(finding.level == "error" for finding in self.findings)


Check = Callable[[Report, Paths], None]


def diagnose(paths: Paths) -> Report:
    """Run every check. A `ChatAppError` in one is a finding, and the others still run."""
    from chatapp.doctor.engine import check_engine
    from chatapp.doctor.files import check_files, check_history, check_model, check_settings
    from chatapp.doctor.machine import check_machine, check_terminal, check_versions

    checks: dict[str, Check] = {
        "versions": check_versions,
        "machine": check_machine,
        "engine": check_engine,
        "files": check_files,
        "settings": check_settings,
        "history": check_history,
        "model": check_model,
        "terminal": check_terminal,
    }
    report = Report()
    for topic, check in checks.items():
        try:
            check(report, paths)
        except ChatAppError as error:
            report.add("error", topic, error.message, error.hint)
    return report

"""`chatapp doctor`: the report as text or JSON. Exit code 1 when something does not work."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from chatapp.doctor import Finding, Report

_MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "cyan"),
    "warning": ("warning", "yellow"),
    "error": ("ERROR", "red"),
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> int:
    """Check the installation: versions, llama.cpp, GPU, files, history, terminal.

    Exit code 1 when something does not work.
    """
    from chatapp.cli.output import dump_json
    from chatapp.doctor import diagnose
    from chatapp.paths import find_paths

    report = diagnose(find_paths())
    if as_json:
        findings = [asdict(finding) for finding in report.findings]
        click.echo(dump_json({"ok": not report.broken, "findings": findings, **report.facts}))
    else:
        _print(report)
    return 1 if report.broken else 0


def _print(report: "Report") -> None:
    for section, facts in report.facts.items():
        click.secho(section, bold=True)
        for name, value in facts.items():
            for line in _format(name, value):
                click.echo(f"  {line}")
        click.echo()
    click.secho("findings", bold=True)
    for finding in report.findings:
        _print_finding(finding)
    click.echo()
    click.echo("Something does not work." if report.broken else "Everything works.")


def _print_finding(finding: "Finding") -> None:
    from chatapp.cli.table import clean_line

    mark, colour = _MARKS[finding.level]
    label = click.style(f"{mark:<8}", fg=colour)
    click.echo(f"  {label} {finding.topic}: {clean_line(finding.text)}")
    if finding.hint:
        click.echo(f"           -> {clean_line(finding.hint)}")


def _format(name: str, value: Any) -> list[str]:
    from chatapp.cli.table import clean_line
    from chatapp.gguf.size import size_text

    label = name.removesuffix("_bytes").removesuffix("bytes") or "size"
    if not label.isupper():  # the name of an environment variable
        label = label.replace("_", " ")
    if name.endswith("bytes"):
        return [f"{label:<20} {size_text(value)}"]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [f"{label:<20} {clean_line(_format_device(item))}" for item in value]
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return [f"{label:<20} {clean_line(str(value)) if value not in (None, '') else '-'}"]


def _format_device(device: dict[str, Any]) -> str:
    from chatapp.gguf.size import size_text

    memory = f"{size_text(device['free_bytes'])} of {size_text(device['total_bytes'])} free"
    return f"{device['name']} ({device['type']}): {device['description']}, {memory}"

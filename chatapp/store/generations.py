"""How answers were made: a row for each run, the later ones where an answer was continued."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import astuple, fields

from sqlite_utils import Database

from chatapp.store.rows import GenerationRow, NewGeneration, Outcome
from chatapp.store.session import clean

_FIELDS = tuple(field.name for field in fields(GenerationRow))
_GET = (
    f"SELECT {', '.join(f'g.{name}' for name in _FIELDS)}"  # noqa: S608
    " FROM json_each(?) wanted CROSS JOIN generations g ON g.message_id = wanted.value"
    " ORDER BY g.id"
)
_PUT = (
    f"INSERT INTO generations ({', '.join(_FIELDS[1:])})"  # noqa: S608
    f" VALUES ({', '.join('?' * (len(_FIELDS) - 1))})"
)


def begin_run(
    db: Database, message_id: int, given: NewGeneration, now: float, offset: int = 0
) -> None:
    """A run of the answer begins, `offset` characters after its first."""
    db.execute(
        "INSERT INTO generations (message_id, model_path, model_name, fingerprint, template_hash,"
        " params_json, seed, created_at, offset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (message_id, *_clean_all(astuple(given)), now, offset),
    )


def end_run(db: Database, message_id: int, outcome: Outcome) -> None:
    """Say of the last run of an answer how it went."""
    db.execute(
        "UPDATE generations SET finish_reason = ?, error = ?,"
        " seed = CASE WHEN ? = -1 THEN seed ELSE ? END, prompt_tokens = ?, reused_tokens = ?,"
        " completion_tokens = ?, load_s = ?, ttft_s = ?, prefill_tps = ?, decode_tps = ?"
        " WHERE id = (SELECT max(id) FROM generations WHERE message_id = ?)",
        (
            clean(outcome.finish_reason),
            clean(outcome.error),
            outcome.seed,
            outcome.seed,
            outcome.prompt_tokens,
            outcome.reused_tokens,
            outcome.completion_tokens,
            outcome.load_s,
            outcome.ttft_s,
            outcome.prefill_tps,
            outcome.decode_tps,
            message_id,
        ),
    )


def copy_run(db: Database, message_id: int, run: GenerationRow) -> None:
    """Add a run that was made elsewhere."""
    db.execute(_PUT, (message_id, *_clean_all(astuple(run)[2:])))


def read_runs(db: Database, message_ids: Sequence[int]) -> dict[int, tuple[GenerationRow, ...]]:
    """The runs of these messages, oldest first, by message."""
    found: defaultdict[int, list[GenerationRow]] = defaultdict(list)
    for row in db.execute(_GET, (json.dumps(list(message_ids)),)):
        run = GenerationRow(*row)
        found[run.message_id].append(run)
    return {message_id: tuple(runs) for message_id, runs in found.items()}


def _clean_all(values: Sequence[object]) -> list[object]:
    return [clean(value) if isinstance(value, str) else value for value in values]

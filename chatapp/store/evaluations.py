"""What models were measured at: a row for each evaluation, never changed. `Store.evaluations`."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chatapp.errors import StoreError
from chatapp.store.session import Session, clean, fetch_required

_SELECT = (
    "SELECT id, created_at, kind, model, model_hash, subject, subject_sha256, settings, results,"
    " seconds FROM evaluations"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvaluation:
    """One evaluation that has ended."""

    kind: str
    """`perplexity`, `tasks`, `compare` or `bench`."""
    model: str
    """As it was named: a path, a library's name, `remote:NAME`."""
    model_hash: str = ""
    """`ModelDescription.fingerprint`; empty where there is none, as with a server."""
    subject: str = ""
    """What it was measured at: the names of the files."""
    subject_sha256: str = ""
    """SHA-256 of what was read, in hexadecimal: equal only where the same was measured."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How it was measured; JSON can hold it."""
    results: Mapping[str, Any] = field(default_factory=dict)
    """What came out; JSON can hold it."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRow(NewEvaluation):
    """One evaluation as it is kept."""

    id: int
    created_at: float


class Evaluations:
    """The evaluations that are kept in the store, the newest first."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, evaluation: NewEvaluation) -> EvaluationRow:
        """Keep one; the row it became."""
        now = time.time()
        with self._session.writing() as db:
            cursor = db.execute(
                "INSERT INTO evaluations (created_at, kind, model, model_hash, subject,"
                " subject_sha256, settings, results, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    now,
                    evaluation.kind,
                    clean(evaluation.model),
                    evaluation.model_hash,
                    clean(evaluation.subject),
                    evaluation.subject_sha256,
                    _dump(evaluation.settings),
                    _dump(evaluation.results),
                    evaluation.seconds,
                ),
            )
            return self._fetch(db, cursor.lastrowid or 0)

    def get(self, evaluation_id: int) -> EvaluationRow:
        """One of them. Raises `StoreError` if there is none."""
        with self._session.reading() as db:
            return self._fetch(db, evaluation_id)

    def find(self, limit: int = 100, *, kind: str = "", sha256: str = "") -> list[EvaluationRow]:
        """The newest, of one kind or at one subject where that is said."""
        with self._session.browsing() as db:
            rows = db.execute(
                f"{_SELECT} WHERE (:kind = '' OR kind = :kind)"
                " AND (:sha256 = '' OR subject_sha256 = :sha256) ORDER BY id DESC LIMIT :limit",
                {"kind": kind, "sha256": sha256, "limit": limit},
            )
            return [_read(row) for row in rows.fetchall()]

    def delete(self, *evaluation_ids: int) -> None:
        """Remove some for good, all or none. Raises `StoreError` for one that is not there."""
        with self._session.writing() as db:
            for evaluation_id in evaluation_ids:
                self._fetch(db, evaluation_id)
                db.execute("DELETE FROM evaluations WHERE id = ?", (evaluation_id,))

    @staticmethod
    def _fetch(db: Any, evaluation_id: int) -> EvaluationRow:
        cursor = db.execute(f"{_SELECT} WHERE id = ?", (evaluation_id,))
        return _read(
            fetch_required(cursor, f"evaluation {evaluation_id}", "See: chatapp eval list")
        )


def _dump(value: Mapping[str, Any]) -> str:
    try:
        return clean(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except ValueError as error:
        raise StoreError(f"An evaluation cannot be kept: {error}.") from error


def _read(row: tuple[Any, ...]) -> EvaluationRow:
    number, created_at, kind, model, model_hash, subject, sha256, settings, results, seconds = row
    return EvaluationRow(
        id=number,
        created_at=created_at,
        kind=kind,
        model=model,
        model_hash=model_hash,
        subject=subject,
        subject_sha256=sha256,
        settings=json.loads(settings),
        results=json.loads(results),
        seconds=seconds,
    )

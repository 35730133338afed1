"""A campaign of kills: what is left of an answer when the engine or chatapp gets SIGKILL.

In every round a real `chatapp` writes an answer: `chatapp ask` or the chat in a pseudo-terminal,
with the echo engine at a known pace, or llama.cpp with the built-in model. At a random moment one
of its processes is killed. Then the history is opened as a new process would, and looked at:
SQLite's `integrity_check`, no message twice, the answer's status, its text a beginning of what was
said, and how much of what had been shown is missing: the seconds between the showing of the first
character that is not in the row, and the kill. The journal's interval is 0.25 s; more than 0.5 s is
a fault.

    python -m bench.kills [--rounds 1000] [--seed 1] [--jobs 2]
"""

import argparse
import collections
import contextlib
import fcntl
import os
import pty
import random
import re
import signal
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chatapp.errors import ChatAppError
from chatapp.store import Store

MOST_LOST_S = 0.5
_SPAN_S = 0.9
"""Kills are spread over so long after the first word: three intervals of the journal."""
_PATIENCE_S = 60.0
_POLL_S = 0.01

Mode = Literal["ask", "chat", "llama"]
Victim = Literal["engine", "chatapp"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One round, drawn from the seed."""

    number: int
    mode: Mode
    victim: Victim
    words: int
    wait_s: float
    """From the first word that is shown to the kill; below 0: from the start of the process."""

    @property
    def tag(self) -> str:
        """A word that only this round's question holds."""
        return f"round{self.number}x"

    @property
    def question(self) -> str:
        """What is asked; the echo engine obeys the second line."""
        if self.mode == "llama":
            return f"{self.tag}: tell me a long story about the sea."
        return f"{self.tag}\n/words {self.words}"


@dataclass(slots=True)
class Result:
    """What a round has shown."""

    plan: Plan
    status: str = ""
    """Of the answer, after the history was opened again; empty: it had not begun."""
    kept: int = 0
    """Characters of the answer in the history."""
    lost_s: float = 0.0
    faults: list[str] = field(default_factory=list)


def draw(seed: int, number: int) -> Plan:
    """Round `number` of the campaign `seed`."""
    source = random.Random(f"{seed} {number}")
    mode: Mode = source.choices(("ask", "chat", "llama"), (6, 3, 1))[0]
    wait_s = source.uniform(0.0, _SPAN_S)
    if source.random() < 0.1:
        wait_s = -source.uniform(0.05, 1.0)
    words = source.choice((40, 1000, 1000, 1000))  # the short ones race with their own end
    return Plan(number, mode, source.choice(("engine", "chatapp")), words, wait_s)


class Shown:
    """What a child has shown so far, and when: characters of a pipe, words of a screen."""

    def __init__(self, descriptor: int, *, screen: bool) -> None:
        self._descriptor = descriptor
        self._screen = screen
        self._counts: list[tuple[float, int]] = []
        self.raw = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """Characters, or the highest word."""
        return self._counts[-1][1] if self._counts else 0

    def first_beyond(self, count: int) -> float | None:
        """When more than `count` were shown for the first time."""
        return next((when for when, shown in self._counts if shown > count), None)

    def close(self) -> None:
        """Wait for the end, which comes when no process holds the other side."""
        self._thread.join(_PATIENCE_S)
        os.close(self._descriptor)

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._descriptor, 65536)
            except OSError:  # a pseudo-terminal's way to say that nobody is there any more
                return
            if not piece:
                return
            now = time.monotonic()
            self.raw += piece
            if self._screen:
                count = max([self.count, *map(int, re.findall(rb"\bword(\d+)", piece))])
            else:
                count = len(self.raw.decode("utf-8", "ignore"))
            self._counts.append((now, count))


class Bench:
    """One home with one history, in which rounds follow each other."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._messages = 0

    def play(self, plan: Plan) -> Result:
        """One round."""
        result = Result(plan)
        started = time.monotonic()
        child, shown = self._start(plan)
        engine = None
        try:
            if plan.mode == "chat":
                self._type(child, shown, plan)
            while plan.wait_s >= 0 and shown.count == 0 and child.poll() is None:
                time.sleep(_POLL_S / 2)
            since = time.monotonic() if plan.wait_s >= 0 else started
            time.sleep(max(0.0, since + abs(plan.wait_s) - time.monotonic()))
            if plan.victim == "engine":
                wait_until(lambda: find_engine(child.pid) or child.poll() is not None)
            engine = find_engine(child.pid)
            killed = time.monotonic()
            victim = engine if plan.victim == "engine" else child.pid
            if victim is not None and child.poll() is None:
                os.kill(victim, signal.SIGKILL)
            self._wait_for_the_end(plan, child, result)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            shown.close()
        if engine is not None and not wait_until(lambda: not is_alive(engine)):
            result.faults.append("the engine outlived chatapp")
        self._look(plan, shown, killed, result)
        return result

    def _start(self, plan: Plan) -> tuple["subprocess.Popen[bytes]", Shown]:
        environment = os.environ | {
            "CHATAPP_HOME": str(self.home),
            "CHATAPP_BACKEND": "llama" if plan.mode == "llama" else "echo",
            "TERM": "xterm-256color",
        }
        command = [sys.executable, "-m", "chatapp"]
        if plan.mode == "chat":
            leader, follower = pty.openpty()
            fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            streams = {"stdin": follower, "stdout": follower, "stderr": follower}
        else:
            command += ["ask", plan.question]
            leader, follower = os.pipe()
            null = subprocess.DEVNULL
            streams = {"stdin": null, "stdout": follower, "stderr": null}
        child = subprocess.Popen(command, env=environment, start_new_session=True, **streams)  # type: ignore[call-overload]
        os.close(follower)
        self._leader = leader
        return child, Shown(leader, screen=plan.mode == "chat")

    def _type(self, child: "subprocess.Popen[bytes]", shown: Shown, plan: Plan) -> None:
        """Send the question as a paste, once the model is there."""
        if plan.wait_s < 0:
            return
        wait_until(lambda: b"talking to" in shown.raw or child.poll() is not None)
        os.write(self._leader, b"\x1b[200~" + plan.question.encode() + b"\x1b[201~")
        wait_until(lambda: b"/words" in shown.raw or child.poll() is not None)
        os.write(self._leader, b"\r")

    def _wait_for_the_end(
        self, plan: Plan, child: "subprocess.Popen[bytes]", result: Result
    ) -> None:
        """Until what is alive has done what it has to do about the kill."""
        if plan.mode != "chat":
            if not wait_until(lambda: child.poll() is not None):
                result.faults.append("ask did not end")
        elif plan.victim == "engine" and not wait_until(self._has_no_open_answer):
            result.faults.append("the answer stays open")

    def _has_no_open_answer(self) -> bool:
        path = self.home / "history.db"
        if not path.exists():
            return True
        query = "SELECT count(*) FROM messages WHERE status = 'streaming'"
        try:
            with contextlib.closing(sqlite3.connect(path)) as db:
                return bool(db.execute(query).fetchone() == (0,))
        except sqlite3.OperationalError:  # it is being made in this moment
            return False

    def _look(self, plan: Plan, shown: Shown, killed: float, result: Result) -> None:
        """Open the history as the next process would, and compare."""
        path = self.home / "history.db"
        try:
            with Store.open(path) as store:
                store.recover()
                rows = [
                    row for chat in store.list_conversations(3) for row in store.get_path(chat.id)
                ]
                asked = [row for row in rows if row.role == "user" and plan.tag in row.content]
                answers = [row for row in rows if row.parent_id in {row.id for row in asked}]
                hits = store.search(plan.tag)
                total = store.count_messages()
        except ChatAppError as error:
            result.faults.append(str(error))
            return
        with contextlib.closing(sqlite3.connect(path)) as db:
            if (said := db.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
                result.faults.append(f"integrity_check: {said[0][0]}")
        if len(asked) > 1 or len(answers) > 1 or len(hits) != len(asked):
            result.faults.append(
                f"{len(asked)} questions, {len(answers)} answers, {len(hits)} hits"
            )
        if total - self._messages != len(asked) + len(answers):
            result.faults.append(f"{total - self._messages} messages more")
        self._messages = total
        if answers:
            result.status, result.kept = answers[0].status, len(answers[0].content)
            self._judge(plan, answers[0].content, shown, killed, result)
        elif shown.count:
            result.faults.append("words were shown, and no answer is kept")

    def _judge(self, plan: Plan, kept: str, shown: Shown, killed: float, result: Result) -> None:
        refused = result.status == "failed" and not kept and plan.victim == "engine"
        if result.status not in ("complete", "interrupted") and not refused:
            result.faults.append(f"the answer is {result.status}")
        if plan.mode == "llama":
            said = shown.raw.decode("utf-8", "ignore").rstrip("\n")
            if not (kept.startswith(said) or said.startswith(kept.rstrip("\n"))):
                result.faults.append("the text is not what was shown")
            count = len(kept)
        else:
            whole = " ".join(f"word{number}" for number in range(1, plan.words + 1))
            if not whole.startswith(kept) or (result.status == "complete" and kept != whole):
                result.faults.append("the text is not what was said")
            words = [int(number) for number in re.findall(r"word(\d+)", kept)]
            count = max(words, default=0) if plan.mode == "chat" else len(kept)
        if result.status == "complete":  # the line end of `ask` is no part of the answer
            return
        first = shown.first_beyond(count)
        result.lost_s = max(0.0, killed - first) if first is not None else 0.0


def find_engine(pid: int) -> int | None:
    """The engine of a chatapp: its child that runs the worker."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"chatapp.engine.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return None


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: "collections.abc.Callable[[], object]") -> bool:
    """Wait for it; False when it did not come for a minute."""
    until = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_S)
    return True


def run(seed: int, rounds: int, jobs: int, *, report: bool = True) -> list[Result]:
    """The campaign: `jobs` homes beside each other, each with its share of the rounds."""
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:

        def work(job: int) -> list[Result]:
            bench = Bench(Path(folder) / str(job))
            results = []
            for number in range(job, rounds, jobs):
                results.append(bench.play(draw(seed, number)))
                if report and number % 50 == 0:
                    print(f"{number} of {rounds}", file=sys.stderr)
            return results

        with ThreadPoolExecutor(jobs) as pool:
            return [result for part in pool.map(work, range(jobs)) for result in part]


def main() -> None:
    """Run and print; exit code 1 when there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    began = time.monotonic()
    results = run(given.seed, given.rounds, given.jobs)
    counts = collections.Counter(
        (result.plan.mode, result.plan.victim, result.status or "not begun") for result in results
    )
    for (mode, victim, status), count in sorted(counts.items()):
        print(f"{mode:<6} {victim:<8} killed  {status:<12} {count}")
    lost = [result.lost_s for result in results if result.status]
    if lost:
        late = statistics.quantiles([0.0, *lost], n=100)[98] if len(lost) > 1 else lost[0]
        print(f"text lost: median {statistics.median(lost):.2f} s, 99 % {late:.2f} s, ", end="")
        print(f"worst {max(lost):.2f} s")
    for result in results:
        if result.lost_s > MOST_LOST_S:
            result.faults.append(f"{result.lost_s:.2f} s of text are lost")
    faulty = [result for result in results if result.faults]
    for result in faulty:
        print(f"FAULT {result.plan}: {'; '.join(result.faults)}")
    print(f"{len(results)} rounds in {time.monotonic() - began:.0f} s, {len(faulty)} with a fault")
    sys.exit(1 if faulty else 0)


if __name__ == "__main__":
    main()

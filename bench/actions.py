"""Everyday actions by keyboard alone, at 80x24: does each work, and how many keys does it take?

The real app on the scripted engine. What one writes (a message, a title, the words that are looked
for) is not counted; every other key is, the letters of a slash command too.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.everyday import ACTIONS, PLAIN_ACTIONS, Desk, PlainDesk
from bench.everyday.peers import Peer, best, read_peers
from chatapp.config import Config
from chatapp.engine.client import EngineClient
from chatapp.paths import Paths
from chatapp.store import Store
from chatapp.ui.app import ChatApp


async def run(size: tuple[int, int]) -> list[tuple[str, int, str]]:
    """(action, keys, what went wrong) for each."""
    results = []
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (home / "notes.md").write_text("The key is under the mat.")
        here = Path.cwd()
        os.chdir(home)
        stack.callback(os.chdir, here)
        paths = Paths(data=home / "data", config=home / "data", state=home / "data")
        store = stack.enter_context(Store.open(paths.history))
        client = EngineClient(backend="echo", log_path=paths.engine_log)
        app = ChatApp(Config(), paths, store, client, model=Path("echo.gguf"))
        try:
            async with app.run_test(size=size) as pilot:
                desk = Desk(app, pilot, home)
                await desk.until(lambda: client.model is not None)
                for one in ACTIONS:
                    desk.n_keys, wrong = 0, ""
                    try:
                        await one.play(desk)
                    except (TimeoutError, AssertionError) as error:
                        wrong = str(error) or type(error).__name__
                        while len(app.screen_stack) > 1:
                            app.pop_screen()
                        app.chat.pane.prompt.set_prompt("")
                    results.append((one.name, desk.n_keys, wrong))
        finally:
            await client.stop()
    return results


def run_plain() -> list[tuple[str, int, str, str]]:
    """The same with `--plain`: (action, keys, what went wrong, what was typed) for each."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "notes.md").write_text("The key is under the mat.")
        desk = PlainDesk(home)
        try:
            for one in PLAIN_ACTIONS:
                desk.begin()
                wrong = ""
                try:
                    one.play(desk)
                except (TimeoutError, AssertionError, BrokenPipeError) as error:
                    wrong = str(error) or type(error).__name__
                    desk.quietly(".")
                typed = " ".join(desk.typed) + (f"  ({one.note})" if one.note else "")
                results.append((one.name, desk.n_keys, wrong, typed))
        finally:
            desk.close()
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table; fail if an action does not work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--plain", action="store_true", help="the same actions without a screen")
    parser.add_argument("--how", action="store_true", help="what is pressed in other programs")
    given = parser.parse_args(arguments)
    peers = read_peers()
    if given.how:
        print_how(peers)
        return
    if given.plain:
        told = run_plain()
        for name, n_keys, wrong, typed in told:
            print(f"{name:44} {n_keys:3}  {'FAILED: ' + wrong if wrong else typed}".rstrip())
    else:
        told = [(*row, "") for row in asyncio.run(run((given.columns, given.rows)))]
        print_beside(told, peers)
    failed = sum(bool(wrong) for _, _, wrong, _ in told)
    print(f"{len(told)} actions, {failed} failed")
    raise SystemExit(bool(failed))


def print_beside(told: list[tuple[str, int, str, str]], peers: list[Peer]) -> None:
    """Our keys beside those of the others, the fewest of them, and who needs fewer."""
    names = " ".join(f"{peer.name:>9}" for peer in peers)
    print(f"{'':40} ours {names}  the best of them")
    fewer = more = alone = 0
    for name, n_keys, wrong, _ in told:
        theirs = " ".join(f"{peer.keys.get(name, '-'):>9}" for peer in peers)
        fewest = best(peers, name)
        alone += fewest is None
        fewer += fewest is not None and n_keys < fewest[0]
        more += fewest is not None and n_keys > fewest[0]
        who = f"{fewest[0]} {fewest[1]}" if fewest else "none can"
        behind = " <" if fewest and n_keys > fewest[0] else ""
        print(f"{name:40} {n_keys:4} {theirs}  {'FAILED: ' + wrong if wrong else who}{behind}")
    same = len(told) - fewer - more - alone
    print(
        f"Fewer keys than the best: {fewer}; as many: {same}; more (<): {more}; only ours: {alone}."
    )


def print_how(peers: list[Peer]) -> None:
    """What is pressed in other programs, and how that is known."""
    for peer in peers:
        print(f"{peer.name}: {peer.known}")
        for name, keys in peer.keys.items():
            print(f"  {name:44} {keys:3}  {peer.how[name]}")


if __name__ == "__main__":
    main()

"""What the history keeps of an answer whose server went away."""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from chatapp.paths import find_paths
from chatapp.store import Store
from tests.remote.conftest import Name, Script


def test_an_answer_that_was_cut_is_kept_as_interrupted(
    script: Script, name: Name, home: Path
) -> None:
    def leave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for word in ("Once ", "upon ", "a "):
            line = json.dumps({"choices": [{"delta": {"content": word}}]})
            handler.wfile.write(f"data: {line}\n\n".encode())

    script.answers = [leave]
    name("lab", script.url)
    done = subprocess.run(
        [sys.executable, "-m", "chatapp", "ask", "--model", "remote:lab", "Tell me a story."],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "in the middle of the answer" in done.stderr
    with Store.open(find_paths().history) as store:
        conversation = store.last_conversation()
        assert conversation is not None
        question, answer = store.get_path(conversation.id)
    assert question.content == "Tell me a story."
    assert (answer.content, answer.status) == ("Once upon a ", "interrupted")

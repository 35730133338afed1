"""What tests see of whoever starts them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

_HOSTILE = {
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "SSL_CERT_FILE": "/nowhere",
    "TERM": "dumb",
    "COLUMNS": "30",
    "XDG_DATA_HOME": "/nowhere",
    "HF_HOME": "/nowhere",
    "CHATAPP_OFFLINE": "1",
    "CHATAPP_KEY_OURS": "secret",
    "OMP_NUM_THREADS": "7",
}
_SIGNALS = (signal.SIGHUP, signal.SIGINT)


def test_nothing_of_it() -> None:
    assert not [name for name, value in _HOSTILE.items() if os.environ.get(name) == value]
    mask = os.umask(0o022)
    assert mask == 0o022
    for number in _SIGNALS:  # what is ignored here would be ignored in children
        assert signal.getsignal(number) is not signal.SIG_IGN


def test_nothing_where_it_is_hostile() -> None:
    def hide() -> None:
        os.umask(0o077)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    here = Path(__file__)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"{here.name}::{test_nothing_of_it.__name__}"],
        cwd=here.parent,
        env=os.environ | _HOSTILE,
        preexec_fn=hide,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout

"""Templates are hostile programs: whatever one does, its rendering ends, and nothing is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatapp.gguf import sandbox
from chatapp.gguf.errors import TemplateError
from chatapp.gguf.sandbox import TemplateProcess

HELLO = [{"role": "user", "content": "Hello"}]
MEMORY = 128 << 20


@pytest.fixture(scope="module")
def process() -> Iterator[TemplateProcess]:
    with TemplateProcess(seconds=1, memory=MEMORY) as made:
        yield made


def doubling(step: str, times: int) -> str:
    return (
        "{% set ns = namespace(x='a' * 1000) %}{% for i in range(" + str(times) + ") %}"
        "{% set ns.x = " + step + " %}{% endfor %}{{ ns.x | length }}"
    )


TOO_MUCH = {
    "doubling by ~": doubling("ns.x ~ ns.x", 40),
    "doubling by +": doubling("ns.x + ns.x", 40),
    "doubling by join": doubling("[ns.x, ns.x] | join", 40),
    "doubling by replace": doubling("ns.x | replace('a', 'aa')", 40),
    "lists in lists": doubling("[ns.x, ns.x] | string", 40),
    "repeating": "{{ 'a' * 10**10 }}",
    "a list repeated": "{{ ([1] * 10**10) | length }}",
    "center": "{{ ('a' | center(2 * 10**9)) | length }}",
    "ljust": "{{ 'a'.ljust(2 * 10**9) | length }}",
    "zfill": "{{ 'a'.zfill(2 * 10**9) | length }}",
    "expandtabs": "{{ '\t'.expandtabs(2 * 10**9) | length }}",
    "format": "{{ '%2000000000d' | format(1) | length }}",
    "format by %": "{{ ('%.2000000000f' % 1) | length }}",
    "str.format": "{{ '{:2000000000}'.format(1) | length }}",
    "indent": "{{ ('a\n' * 100000) | indent(100000) | length }}",
    "translate": doubling("ns.x.translate({97: 'aa'})", 40),
    "text": "{% for i in range(99999) %}{{ 'a' * 100000 }}{% endfor %}",
    "a power": "{{ 9 ** 999999999 }}",
    "a power of a power": "{{ (7 ** 7 ** 7 ** 7) | length }}",
    "a power, then a product": "{% set x = 3 ** 4000000 %}{{ (x * x * x * x * x * x) % 7 }}",
    "sorting": "{{ (range(99999) | list * 60) | sort(reverse=true) | length }}",
    "a regular expression": "{{ ('a ' * 3000000) | striptags | wordwrap(2) | urlize | length }}",
    "loops": "{% for i in range(99999) %}" * 3 + "x" + "{% endfor %}" * 3,
    "nested for": "{% for a in [1] %}" * 25 + "x" + "{% endfor %}" * 25,
    "nested if": "{% if true %}" * 1500 + "x" + "{% endif %}" * 1500,
    "parentheses": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "not": "{{ " + "not " * 100_000 + "1 }}",
    "a long sum": "{{ " + "1+" * 200_000 + "1 }}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a list that holds itself": "{% set x = cycler([]) %}{{ x.__init__ }}{{ x.items.append(x) }}",
    "a large program": "{{a}}" * 199_999 + "{{ 1 / 0 }}",
    "a larger program": "a" * 1_000_001,
    "range": "{{ range(10**9) | list | length }}",
    "a class": "{{ messages.__class__.__mro__ }}",
    "subclasses": "{{ ''.__class__.__base__.__subclasses__() }}",
    "format's attributes": "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "globals": "{{ cycler.__init__.__globals__.os.kill(1, 9) }}",
    "undefined": "{{ nobody.knows.it }}",
    "a file": "{% include '/etc/passwd' %}",
    "an import": "{% import 'os' as os %}",
    "an exception without words": "{{ raise_exception('') }}",
    "an exception of odd words": "{{ raise_exception('\ud800' * 10000) }}",
    "an exception that is no text": "{{ raise_exception(messages) }}",
    "strftime": "{{ strftime_now(5) }}",
    "tojson": "{{ undefined_thing | tojson }}",
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_it_ends_with_a_reason(process: TemplateProcess, name: str) -> None:
    with pytest.raises(TemplateError) as caught:
        process.render(TOO_MUCH[name], HELLO)
    assert caught.value.message.startswith("The chat template ")
    assert "Traceback" not in caught.value.message
    assert len(caught.value.message) < 500
    assert process.render("{{ messages[0].content }}", HELLO) == "Hello"


def test_memory_is_watched_where_the_system_does_not_bound_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "rendering.py"
    source = Path(sandbox.__file__).with_name("rendering.py").read_text(encoding="utf-8")
    script.write_text(source.replace("resource.RLIMIT_AS,", "resource.RLIMIT_CORE,"))
    assert script.read_text() != source
    monkeypatch.setattr(sandbox, "_SCRIPT", script)
    with TemplateProcess(seconds=60, memory=MEMORY) as process:
        with pytest.raises(TemplateError, match=r"took more than 128 MiB of memory"):
            process.render(doubling("ns.x ~ ns.x", 60), HELLO)
        assert process.render("x", HELLO) == "x"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "print('hello', flush=True); time.sleep(99)",
        "os.write(1, b'\\xff' * 9); time.sleep(99)",
        "os.write(1, bytes(4)); time.sleep(99)",
        "os.write(1, b'\\0\\0\\0\\2[]'); time.sleep(99)",
        "os.kill(os.getpid(), 11)",
        "raise SystemExit(3)",
    ],
)
def test_a_process_that_talks_nonsense_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    script = tmp_path / "rendering.py"
    script.write_text(f"import os, time\n{answer}\n")
    monkeypatch.setattr(sandbox, "_SCRIPT", script)
    with TemplateProcess() as process, pytest.raises(TemplateError):
        process.render("x", HELLO)


def test_a_process_that_was_killed_is_started_again() -> None:
    with TemplateProcess() as process:
        first = process.render("{{ messages[0].content }}", HELLO)
        assert process._child is not None
        pid = process._child._process.pid
        os.kill(pid, signal.SIGKILL)
        assert process.render("{{ messages[0].content }}", HELLO) == first == "Hello"


def test_a_long_text_and_odd_characters_come_back_as_they_are() -> None:
    content = "\ud83d lone, \0, é, 北京, 🦙\r\n" * 100_000
    with TemplateProcess() as process:
        assert process.render("{{ messages[0].content }}", [{"content": content}]) == content


def test_more_text_than_a_reply_may_have() -> None:
    source = "{% for i in range(99) %}{{ messages[0].content }}{% endfor %}"
    with TemplateProcess() as process, pytest.raises(TemplateError, match="64 MiB of text"):
        process.render(source, [{"content": "a" * 1_000_000}])


PARENT = """
import sys
from chatapp.gguf.sandbox import TemplateProcess
process = TemplateProcess(seconds=float(sys.argv[1]))
process.check("x")
print(process._child._process.pid, flush=True)
process.render(sys.argv[2], [])
input()
"""


@pytest.mark.parametrize("source", ["x", "{{ 9 ** 999999999 }}"])
def test_it_ends_when_its_parent_is_killed(source: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, "1", source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(600):
        if not _runs(child):
            break
        time.sleep(0.1)
    assert not _runs(child)
    for pipe in (parent.stdin, parent.stdout):
        assert pipe is not None
        pipe.close()


def _runs(pid: int) -> bool:
    """Whether a process is there, and more than a body that nobody has collected."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return stat != "Z"


def test_ctrl_c_in_the_terminal_is_not_for_it() -> None:
    with TemplateProcess() as process:
        process.check("x")
        assert process._child is not None
        assert os.getsid(process._child._process.pid) != os.getsid(0)


def test_a_template_that_is_late_twice_is_not_tried_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endless = "{% if messages %}" + TOO_MUCH["loops"] + "{% endif %}"
    with TemplateProcess(seconds=0.5, memory=MEMORY) as process:
        assert process.render(endless, []) == ""
        for _ in range(2):
            with pytest.raises(TemplateError, match="ran for more than"):
                process.render(endless, HELLO)
        with pytest.raises(TemplateError, match="ran for more than"):
            process.render(endless, [])
        assert process.render("{{ messages | length }}", HELLO) == "1"
        monkeypatch.setattr(sandbox, "_LATE_SECONDS", 0.0)
        assert process.render(endless, []) == ""

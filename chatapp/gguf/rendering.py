"""The process that renders chat templates: started, watched and killed by `sandbox.py`.

A template comes with the model, so it is untrusted code. It runs in Jinja's immutable sandbox (no
attribute of Python objects can be reached, nothing passed in can be changed; lists and mappings
that a template makes itself may grow), in a process that holds nothing else. What a template takes
of memory and time is bounded by the parent; the limits set here hold where the parent has died.
This file is run as a script and imports jinja2 alone.

Frames on stdin and stdout: four bytes of length, then JSON in UTF-8. The first one out says that
the process is ready; then each request (source, values) has one reply (text, or error).
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.parser
import jinja2.utils
from jinja2.sandbox import ImmutableSandboxedEnvironment

_MOST_TEMPLATES = 8  # compiled ones that are kept
_HAS_ALARM = hasattr(signal, "setitimer")  # not on Windows
_SHOWN = 300  # characters of a reason
_GROWS_LIST = {"append", "extend", "insert", "pop"}
_GROWS_DICT = {"update", "setdefault", "pop"}


def make_environment() -> jinja2.Environment:
    """What a template finds, as transformers has it; `{% do %}` and `fromjson` beside that."""
    environment = _Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, jinja2.ext.loopcontrols, jinja2.ext.do],
    )
    environment.filters["tojson"] = _to_json
    environment.filters["fromjson"] = environment.filters["from_json"] = json.loads
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _strftime_now
    environment.globals["namespace"] = _Namespace
    return environment


class _Environment(ImmutableSandboxedEnvironment):
    """The immutable sandbox, but for the lists and mappings that a template has made itself."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """What is passed in has types of its own (`_protect`), and stays as it is."""
        is_own = (type(obj) is list and attr in _GROWS_LIST) or (
            type(obj) is dict and attr in _GROWS_DICT
        )
        return is_own or super().is_safe_attribute(obj, attr, value)


class _GivenList(list[Any]):
    """A list that was passed in."""


class _GivenDict(dict[str, Any]):
    """A mapping that was passed in."""


for _kind, _name in ((_GivenList, "list"), (_GivenDict, "dict")):
    _kind.__name__, _kind.__module__ = _name, "builtins"  # as Jinja's errors are to call them


def _protect(value: Any) -> Any:
    """The value with types by which it is known as not the template's own."""
    if isinstance(value, dict):
        return _GivenDict({key: _protect(item) for key, item in value.items()})
    if isinstance(value, list):
        return _GivenList(_protect(item) for item in value)
    return value


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what a model is trained on; the text is that of its body, between
    the two texts in `generation_marks` where these are given."""

    tags = {"generation"}  # noqa: RUF012  (jinja2 declares it so)

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        body = [_mark(0, line), *body, _mark(1, line)]
        # what is set inside stays inside, as in the call that transformers makes of it
        return jinja2.nodes.Scope(body, lineno=line)


def _mark(place: int, line: int) -> jinja2.nodes.Node:
    """`{% if generation_marks %}{{ generation_marks[place] }}{% endif %}`."""
    nodes = jinja2.nodes
    marks = nodes.Name("generation_marks", "load", lineno=line)
    mark = nodes.Getitem(marks, nodes.Const(place, lineno=line), "load", lineno=line)
    return nodes.If(marks, [nodes.Output([mark], lineno=line)], [], [], lineno=line)


class _Namespace(jinja2.utils.Namespace):
    """Holds what a template sets, but nothing that Python would take for its own."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # a template may set `self`
        self, *rest = args
        values = dict(*rest, **kwargs)
        for name in values:
            _refuse_private(name)
        jinja2.utils.Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace takes no name like {name!r:.40}")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without Jinja's escapes for HTML; the arguments are transformers', in its order."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_list_of,
    )


def _list_of(value: Any) -> list[Any]:
    """What a filter such as `map` gives, as JSON has it."""
    if isinstance(value, Iterator):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no value that JSON has")


def _raise(message: str) -> NoReturn:
    raise jinja2.exceptions.TemplateRuntimeError(str(message))


def _strftime_now(form: str) -> str:
    """The local time; nothing for %z and %Z, as in transformers."""
    return datetime.now().astimezone().replace(tzinfo=None).strftime(form)


class _Templates:
    """Templates that were compiled before."""

    def __init__(self) -> None:
        self._environment = make_environment()
        self._compiled: dict[str, jinja2.Template] = {}

    def render(self, request: dict[str, Any]) -> dict[str, str]:
        """The reply to one request."""
        source = request["source"]
        try:
            template = self._compiled.pop(source, None) or self._environment.from_string(source)
        # Jinja and Python's own compiler, given a program that somebody else wrote.
        except Exception as error:  # noqa: BLE001
            return {"error": f"is not valid Jinja: {_say(error)}"}
        self._compiled[source] = template
        if len(self._compiled) > _MOST_TEMPLATES:
            del self._compiled[next(iter(self._compiled))]
        if request["values"] is None:
            return self._find_names(source) if request["names"] else {"text": ""}
        try:
            return {"text": template.render(_protect(request["values"]))}
        # A template may raise anything Python can raise while it runs; none of it is ours.
        except Exception as error:  # noqa: BLE001
            return {"error": f"failed: {type(error).__name__}: {_say(error)}"}

    def _find_names(self, source: str) -> dict[str, str]:
        """The names that a template reads and never asks after, with spaces between."""
        try:
            return {"text": " ".join(sorted(_names_read(self._environment.parse(source))))}
        except Exception as error:  # noqa: BLE001  (as above)
            return {"error": f"is not valid Jinja: {_say(error)}"}


def _names_read(tree: jinja2.nodes.Template) -> set[str]:
    read = jinja2.meta.find_undeclared_variables(tree)
    asked: list[jinja2.nodes.Node | None] = [test.node for test in tree.find_all(jinja2.nodes.Test)]
    asked += [f.node for f in tree.find_all(jinja2.nodes.Filter) if f.name in ("default", "d")]
    tests = [branch.test for branch in tree.find_all(jinja2.nodes.If)]
    tests += [choice.test for choice in tree.find_all(jinja2.nodes.CondExpr)]
    for test in tests:
        asked += _parts_of(test)
    return read - {node.name for node in asked if isinstance(node, jinja2.nodes.Name)}


def _parts_of(test: jinja2.nodes.Node) -> list[jinja2.nodes.Node | None]:
    """What a condition asks after: itself, or the sides of its not, and, or."""
    inner = (jinja2.nodes.Not, jinja2.nodes.And, jinja2.nodes.Or)
    sides = [side for node in test.find_all(inner) for side in node.iter_child_nodes()]
    return [test, *sides, *(test.iter_child_nodes() if isinstance(test, inner) else ())]


def _say(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it needs more memory than a template may have"
    return str(error)[:_SHOWN].rstrip(".")


def _limit_memory(n_bytes: int) -> None:
    """Bound the address space, where the system lets us: the parent bounds what is in use."""
    try:
        import resource  # Windows has no such thing
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        total = pages * os.sysconf("SC_PAGE_SIZE") + n_bytes
        resource.setrlimit(resource.RLIMIT_AS, (total, total))
    except (OSError, ValueError):
        pass


def _read(stream: BinaryIO) -> Any:
    """The next frame's value; None at the end."""
    head = stream.read(4)
    data = stream.read(int.from_bytes(head, "big"))
    return json.loads(data.decode("utf-8", "surrogatepass")) if len(head) == 4 and data else None


def _write(stream: BinaryIO, value: Any, most: int) -> None:
    data = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if len(data) > most:
        data = json.dumps({"error": f"writes more than {most >> 20} MiB of text"}).encode()
    stream.write(len(data).to_bytes(4, "big") + data)
    stream.flush()


def _guarded(work: Callable[[], None], seconds: float) -> None:
    """Do `work`; the system ends this process when it takes longer, whoever is left to watch."""
    if _HAS_ALARM:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    else:  # a thread cannot interrupt C code that holds the interpreter's lock; the parent can
        alarm = threading.Timer(seconds, os._exit, (1,))
        alarm.daemon = True
        alarm.start()
    try:
        work()
    except MemoryError:
        os._exit(1)
    if _HAS_ALARM:
        signal.setitimer(signal.ITIMER_REAL, 0)
    else:
        alarm.cancel()


def main(n_bytes: int, seconds: float, most: int) -> None:
    """Serve requests until stdin ends."""
    if _HAS_ALARM:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    templates = _Templates()
    _limit_memory(n_bytes)
    _write(replies, {"text": "ready"}, most)
    while (request := _read(requests)) is not None:

        def answer(request: dict[str, Any] = request) -> None:
            _write(replies, templates.render(request), most)

        _guarded(answer, seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))

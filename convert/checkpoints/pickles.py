"""Reads a pickle without running it.

It promises that nothing named in the pickle is imported or called: our own small machine follows
the opcodes, knows dictionaries and tensors, and turns every other global into an inert `Stub`.
The standard unpickler is not used at all, because even with `find_class` closed it can be made to
allocate without bound (a memo index of 2^32) and to overflow the C stack (hashing nested tuples).
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, cast

from convert.checkpoints.inert import Global, Stub, as_key, refuse_hostile
from convert.errors import CheckpointError

MAX_PICKLE = 256 << 20  # bytes; the names of a thousand-tensor checkpoint take under 1 MB
# Steps: a 200k-word vocabulary, both ways, takes 2 million. This bounds the time to some seconds
# and the memory to 0.5 GB: a step makes no more than a memo's entry or an empty dictionary.
MAX_OPCODES = 4_000_000
# Bytes given to calls, 16 an entry: one long list can be given to a million of them.
_MAX_GIVEN = 32 << 20
_MAX_NAME = 1000  # characters of a class's name

Rebuild = Callable[..., Any]


class _Mark:
    """The type of the marker below a group on the stack."""


_MARK = _Mark()


def _named(module: str, name: str) -> Global:
    if len(module) + len(name) > _MAX_NAME:
        raise ValueError("a class with an endless name")
    return Global(module, name)


class Stream:
    """A file of several pickles, one after another, of which so many bytes may be read."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._left = most

    def tell(self) -> int:
        """How many bytes of the pickle were read so far."""
        return self._file.tell()

    def read(self, count: int) -> bytes:
        """The next bytes of the pickle."""
        if not 0 <= count <= self._left:
            raise ValueError("it is longer than any checkpoint needs")
        self._left -= count
        return self._file.read(count)

    def readline(self) -> bytes:
        """The next bytes up to a line feed."""
        line = self._file.readline(min(self._left, 1 << 20))
        self._left -= len(line)
        return line


class Machine:
    """One run over one pickle's opcodes, which calls nothing of others."""

    def __init__(
        self, rebuild: Mapping[str, Rebuild], storage: Callable[[Any], Any], where: str
    ) -> None:
        """`rebuild` maps a global's full name to our own function; `storage` resolves ids."""
        self._rebuild = rebuild
        self._storage = storage
        self._where = where
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._given = 0
        self.unknown: set[str] = set()

    def load(self, data: bytes | Stream) -> Any:
        """The object the pickle describes, in dicts, lists, tuples, scalars and stubs.

        A stream is left behind the pickle's end. Raises `CheckpointError`.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd escapes in damaged text
                return self._run(data)
        except (ValueError, LookupError, TypeError, OverflowError, struct.error) as error:
            raise self._broken(str(error) or type(error).__name__) from None

    def _run(self, data: bytes | Stream) -> Any:
        for count, (opcode, arg, _) in enumerate(pickletools.genops(cast(Any, data))):
            if count > MAX_OPCODES:
                raise self._broken(f"more than {MAX_OPCODES:,} steps")
            if opcode.name == "STOP":
                return self._pop()
            self._step(opcode.name, arg)
        raise self._broken("it has no end")

    def _broken(self, reason: str) -> CheckpointError:
        return CheckpointError(
            f"{self._where} holds a damaged pickle: {reason[:200]}.",
            "Save the checkpoint again with torch.save and copy it anew.",
        )

    def _step(self, name: str, arg: Any) -> None:
        if name in _VALUES:
            self._stack.append(arg)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _HANDLERS:
            _HANDLERS[name](self, arg)
        elif name not in _IGNORED:
            raise self._broken(f"it uses the opcode {name}, which no checkpoint needs")

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a group that was never closed")
        return value

    def _group(self) -> list[Any]:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                group = self._stack[index + 1 :]
                del self._stack[index:]
                return group
        raise ValueError("a group that was never opened")

    def _take(self, count: int) -> tuple[Any, ...]:
        return tuple(reversed([self._pop() for _ in range(count)]))

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _pop_mark(self, _: Any) -> None:
        self._group()

    def _discard(self, _: Any) -> None:
        self._stack.pop()

    def _duplicate(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _list(self, _: Any) -> None:
        self._stack.append(self._group())

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._group()))

    def _frozenset(self, _: Any) -> None:
        self._stack.append(self._group())

    def _dict(self, _: Any) -> None:
        group = self._group()
        self._stack.append({})
        self._fill(group)

    def _append(self, _: Any) -> None:
        self._extend([self._pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._group())

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        target = target.elements if isinstance(target, Stub) else target
        if not isinstance(target, list):
            raise TypeError("something is added to what is no list")
        target.extend(values)

    def _set_item(self, _: Any) -> None:
        self._fill(list(self._take(2)))

    def _set_items(self, _: Any) -> None:
        self._fill(self._group())

    def _fill(self, pairs: Sequence[Any]) -> None:
        target = self._stack[-1]
        target = target.entries if isinstance(target, Stub) else target
        if not isinstance(target, dict) or len(pairs) % 2:
            raise TypeError("an entry is put into what is no dictionary")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[as_key(key)] = value

    def _global(self, arg: str) -> None:
        module, _, name = arg.partition(" ")
        self._stack.append(_named(module, name))

    def _stack_global(self, _: Any) -> None:
        module, name = self._take(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise TypeError("a global whose name is no text")
        self._stack.append(_named(module, name))

    def _persistent(self, _: Any) -> None:
        self._stack.append(self._storage(self._pop()))

    def _reduce(self, _: Any) -> None:
        function, args = self._take(2)
        self._stack.append(self.call(function, args))

    def _new_object(self, _: Any) -> None:
        self._reduce(None)

    def _new_object_ex(self, _: Any) -> None:
        function, args, _kwargs = self._take(3)
        self._stack.append(self.call(function, args))

    def _instance(self, arg: str) -> None:
        module, _, name = arg.partition(" ")
        self._stack.append(self.call(_named(module, name), tuple(self._group())))

    def _object(self, _: Any) -> None:
        group = self._group()
        self._stack.append(self.call(group[0], tuple(group[1:])))

    def _build(self, _: Any) -> None:
        state = self._pop()
        if isinstance(self._stack[-1], Stub):
            self._stack[-1].state = state

    def call(self, function: Any, args: Any) -> Any:
        """What a call in the pickle stands for: one of our rebuilders, or an inert stub."""
        if not isinstance(args, tuple):
            raise TypeError("a call without arguments")
        if not isinstance(function, Global):
            return Stub("a call of what is no function", args)
        for arg in args[:8]:
            if isinstance(arg, str | bytes | bytearray):
                self._given += len(arg)
            elif isinstance(arg, list | tuple | dict):
                self._given += 16 * len(arg)
        if self._given > _MAX_GIVEN:
            raise ValueError("it calls with more than any checkpoint needs")
        name = str(function)
        refuse_hostile(function, self._where)
        if name in self._rebuild:
            return self._rebuild[name](*args)
        self.unknown.add(name[:200])
        return Stub(name, args)


_IGNORED = frozenset({"PROTO", "FRAME"})
_VALUES = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"}
    | {"BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,  # a set of stubs has no use here, and a list needs no hashing
}
_HANDLERS: dict[str, Callable[[Machine, Any], None]] = {
    "MARK": Machine._mark,
    "POP": Machine._discard,
    "POP_MARK": Machine._pop_mark,
    "DUP": Machine._duplicate,
    "PUT": Machine._put,
    "BINPUT": Machine._put,
    "LONG_BINPUT": Machine._put,
    "MEMOIZE": Machine._memoize,
    "GET": Machine._get,
    "BINGET": Machine._get,
    "LONG_BINGET": Machine._get,
    "LIST": Machine._list,
    "TUPLE": Machine._tuple,
    "TUPLE1": lambda machine, _: machine._stack.append(machine._take(1)),
    "TUPLE2": lambda machine, _: machine._stack.append(machine._take(2)),
    "TUPLE3": lambda machine, _: machine._stack.append(machine._take(3)),
    "FROZENSET": Machine._frozenset,
    "DICT": Machine._dict,
    "APPEND": Machine._append,
    "APPENDS": Machine._appends,
    "ADDITEMS": Machine._appends,
    "SETITEM": Machine._set_item,
    "SETITEMS": Machine._set_items,
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "BINPERSID": Machine._persistent,
    "REDUCE": Machine._reduce,
    "NEWOBJ": Machine._new_object,
    "NEWOBJ_EX": Machine._new_object_ex,
    "INST": Machine._instance,
    "OBJ": Machine._object,
    "BUILD": Machine._build,
}

"""What is known of a model's settings when its code asks for them, by whatever name.

In order: what the user gave with --code-args; the checkpoint's own configuration under the very
name; what shapes tell for a name that can mean one thing only; the configuration under a kindred
name. What the code itself says stands below these, and above what our reading of the checkpoint has
found (`hints`). What the user said of the checkpoint (`told`) stands in where the code is silent.
"""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

from convert.author.faults import AuthorError

MISSING: Any = object()
# Names people give one thing, without underscores and in small letters.
_KIN: dict[str, frozenset[str]] = {
    role: frozenset(names.split())
    for role, names in {
        "vocab": "vocabsize nvocab ntoken ntokens numtokens vocabularysize vocsize numembeddings "
        "paddedvocabsize vocablen srcvocabsize numvocab nvocabulary",
        "embd": "nembd nembed nemb dmodel dim embdim embeddim embeddingdim hiddensize embedsize "
        "embeddingsize modeldim modelsize embsize ndim ninp dembed embdsize dembd nembedding",
        "layer": "nlayer nlayers numlayers numhiddenlayers depth nblocks numblocks nblock "
        "ntransformerlayers numdecoderlayers",
        "head": "nhead nheads numheads numattentionheads heads numhead",
        "kv": "nkvhead nkvheads numkeyvalueheads numkvheads nkvgroups nquerygroups kvheads nkv",
        "ctx": "blocksize contextlength maxseqlen seqlen nctx contextsize maxlen maxlength "
        "maxpositionembeddings sequencelength maxseqlength ctxlen npositions contextlen "
        "maxsequencelength contextwindow maxcontextlength",
        "ff": "dff nhidden ffndim dimfeedforward intermediatesize hiddendim mlpdim nhid dhid ffdim "
        "ninner dhidden feedforwarddim ffhiddendim nff mlphiddendim dffn",
        "theta": "ropetheta ropebase theta thetabase base",
        "eps": "normeps rmsnormeps layernormeps eps epsilon layernormepsilon",
        "headdim": "headdim headsize dhead dimhead",
    }.items()
}
_ROLE = {name: role for role, names in _KIN.items() for name in names}


def role_of(name: str) -> str:
    """What `name` is a name for: "vocab", "embd", ...; "" where that is not known."""
    return _ROLE.get(_plain(name), "")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


class Known:
    """Settings by any name; the `Better` of a script."""

    def __init__(
        self,
        arguments: Mapping[str, Any],
        config: Mapping[str, Any],
        shapes: Mapping[str, int],
        hints: Mapping[str, Any],
        told: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """`shapes`, `hints` and `told`, what the user said of the checkpoint, by role."""
        self._told = dict(told)
        self._arguments = dict(arguments)
        self._config = dict(config)
        self._shapes = dict(shapes)
        self._hints = dict(hints)
        self._roles = {role_of(name): value for name, value in self._config.items()}
        self.used: set[str] = set()
        """Arguments of the user's that the code has asked for."""
        self.bias: bool | None = None
        """What flags about biases are, where nobody says: tried by what the checkpoint holds."""
        self.guessed = False
        """Whether such a flag was asked for."""

    @property
    def unused(self) -> list[str]:
        """Arguments of the user's that nothing asked for."""
        return [name for name in self._arguments if name not in self.used]

    def config(self) -> dict[str, Any]:
        """The checkpoint's configuration and the user's arguments, under their own names."""
        return self._config | self._arguments

    def instead(self, name: str, own: Any) -> Any:
        """What stands in for `own`, which the code says; `MISSING` where the code is right.

        Raises `AuthorError` where the user has said otherwise than the code: one of them is wrong,
        and a proof that takes the user's word would agree with it.
        """
        found, role = self.strong(name), role_of(name)
        if found is MISSING and role in self._told and own is not None and _is_plain(own):
            said = self._told[role]
            if said != own:
                raise AuthorError(
                    f"{name} is {said!r} as you say, {own!r} in the code.",
                    f"Which was it trained with? --code-args {name}={said} or {name}={own}.",
                )
        return found

    def strong(self, name: str) -> Any:
        """What is known better than the code knows; `MISSING`."""
        if name in self._arguments:
            self.used.add(name)
            return self._arguments[name]
        role = role_of(name)
        if role == "vocab" and "vocab" in self._shapes:
            return self._shapes["vocab"]
        if name in self._config:
            return self._config[name]
        if role in self._shapes:
            return self._shapes[role]
        if role and role in self._roles:
            return self._roles[role]
        if _is_bias(name):
            self.guessed = True
            if self.bias is not None:
                return self.bias
        return _usual(name)

    def weak(self, name: str) -> Any:
        """What may stand in where the code says nothing; `MISSING`."""
        role = role_of(name)
        if role in self._told:
            return self._told[role]
        if role in self._hints:
            return self._hints[role]
        if _is_bias(name):
            return True
        return 0.0 if "drop" in name.lower() else MISSING

    def find(self, name: str) -> Any:
        """The best value that is known for the setting, or `MISSING`."""
        found = self.strong(name)
        return self.weak(name) if found is MISSING else found

    # For a script's own constants and settings

    def constant(self, name: str, own: Any = None) -> tuple[bool, Any]:
        """Whether the global `name` is known, and its value. `own` is the script's."""
        found = self.instead(name, own)
        return (True, found) if found is not MISSING and _is_plain(found) else (False, None)

    def adjust(self, value: Any) -> None:
        """Put known values into settings that a script made."""
        if isinstance(value, dict):
            for name in [name for name in value if isinstance(name, str)]:
                if isinstance(value[name], dict):
                    self.adjust(value[name])
                elif (found := self.instead(name, value[name])) is not MISSING:
                    value[name] = found
            return
        for name in names_of_settings(value):
            found = self.instead(name, getattr(value, name, None))
            if found is not MISSING:
                put(value, name, found)


def put(value: Any, name: str, found: Any) -> None:
    """Set an attribute, of a frozen dataclass too."""
    try:
        setattr(value, name, found)
    except (AttributeError, TypeError):
        object.__setattr__(value, name, found)


def names_of_settings(value: Any) -> list[str]:
    """Attributes of what looks like settings: a namespace, a dataclass, a class of constants."""
    if isinstance(value, SimpleNamespace | Namespace):
        return list(vars(value))
    if isinstance(value, type):
        if hasattr(value, "forward") or dataclasses.is_dataclass(value):
            return []  # its fields are filled when one is made
        return [name for name, item in vars(value).items() if _is_setting(name, item)]
    if dataclasses.is_dataclass(value) and not hasattr(value, "forward"):
        return [field.name for field in dataclasses.fields(value)]
    if looks_like_settings(type(value)):
        named = {*vars(type(value)), *getattr(value, "__dict__", {})}
        return [name for name in named if _is_setting(name, getattr(value, name, print))]
    return []


def looks_like_settings(kind: type) -> bool:
    """Whether a class is called as those of settings are."""
    endings = ("config", "args", "arguments", "params", "hparams", "cfg", "settings", "cfgnode")
    return kind.__name__.lower().endswith((*endings, "hyperparameters", "options"))


def _is_setting(name: str, item: Any) -> bool:
    return not name.startswith("_") and _is_plain(item)


def _is_plain(item: Any) -> bool:
    return item is None or isinstance(item, bool | int | float | str)


def _is_bias(name: str) -> bool:
    return "bias" in name.lower()


def _usual(name: str) -> Any:
    """What every model is given here, whatever its code says: it runs in float32 on the CPU."""
    lowered = name.lower()
    if lowered in {"dtype", "param_dtype", "torch_dtype", "ptdtype"}:
        import torch

        return torch.float32
    return "cpu" if lowered in {"device", "device_type", "dev"} else MISSING


class MissingSettingError(KeyError, AttributeError):
    """A setting that the code asks for and nobody knows."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.setting = name

    def __str__(self) -> str:
        return f"no value for {self.setting}"


class Settings(dict[str, Any]):
    """A configuration that answers to `c["name"]` and to `c.name`, by any name that is known."""

    def __init__(self, known: Known, own: Mapping[str, Any]) -> None:
        """`own` is what the code says of itself."""
        super().__init__({**own, **known.config()})
        self.__dict__["_known"] = known
        self.__dict__["_own"] = dict(own)
        self.__dict__["_set"] = {}

    def __getitem__(self, name: str) -> Any:
        found = self._look(name)
        if found is MISSING:
            raise MissingSettingError(name)
        return found

    def _look(self, name: str) -> Any:
        known: Known = self.__dict__["_known"]
        if name in self.__dict__["_set"]:
            return self.__dict__["_set"][name]
        if name in self.__dict__["_own"]:
            own = self.__dict__["_own"][name]
            better = known.instead(name, own)
            return own if better is MISSING else better
        found = known.find(name)
        return super().get(name, MISSING) if found is MISSING else found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        self.__dict__["_set"][name] = value
        super().__setitem__(name, value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._look(name) is not MISSING

    def get(self, name: str, default: Any = None) -> Any:
        """The value at a key, or the default, as of a dict."""
        known: Known = self.__dict__["_known"]
        if name in self.__dict__["_own"] or name in self.__dict__["_set"]:
            return self[name]
        found = known.strong(name)
        return default if found is MISSING else found

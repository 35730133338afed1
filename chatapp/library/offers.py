"""What a repository of a hub offers: its GGUF files as models, each of one quantisation.

Names come from strangers: only a plain file name ever becomes a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from chatapp.errors import HubError
from chatapp.gguf.fit import Machine, rough_fit

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")
_QUANT = re.compile(
    r"(?:^|[-_.])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32|FP16))"
    r"(?=$|[-_.])",
    re.IGNORECASE,
)
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
_NO_MODEL = re.compile(r"(^|[-_.])(mmproj|imatrix)([-_.]|$)", re.IGNORECASE)
_PLAIN = re.compile(r"[^\x00-\x1f\x7f/\\:\ud800-\udfff]+")
_LOSSLESS_ENOUGH = 2_000_000_000  # below this the better quantisation costs little memory
_BY_TASTE = ("Q4_K_M", "Q4_K_S", "IQ4_XS", "Q4_0", "MXFP4", "Q5_K_M", "Q3_K_M", "Q6_K", "Q8_0")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository."""

    name: str
    """Its path there."""
    size_bytes: int
    sha256: str
    """Empty when the hub does not say."""

    @property
    def local_name(self) -> str:
        """What it is called here. `HubError` when the name cannot be trusted."""
        name = PurePosixPath(self.name).name
        if not _PLAIN.fullmatch(name) or name.startswith(".") or len(name) > 200:
            raise HubError(f"The file name {self.name!r} is not one that can be used here.")
        return name


@dataclass(frozen=True, slots=True)
class Offer:
    """One model of a repository: a file, or all its shards."""

    name: str
    """Its quantisation, or the file's stem where that says too little."""
    files: tuple[HubFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of a hub at one commit."""

    id: str
    """As in `owner/name`."""
    commit: str
    licence: str
    gated: bool
    offers: tuple[Offer, ...]
    """Smallest first."""

    @property
    def name(self) -> str:
        """Without its owner."""
        return self.id.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """Its folder in the models folder."""
        return self.id.replace("/", "--")


@dataclass(frozen=True, slots=True)
class Spec:
    """What a person asked to fetch."""

    repo: str
    quant: str = ""
    file: str = ""


def parse_spec(text: str) -> Spec:
    """`owner/name`, `owner/name:Q4_K_M`, `owner/name/file.gguf`, or a web address of these."""
    rest = re.sub(r"^(hf://|https?://[^/]+/|hf\.co/|huggingface\.co/)", "", text.strip())
    rest = rest.partition("?")[0]
    rest = re.sub(r"^([^/]+/[^/]+)/(?:blob|resolve|tree)/[^/]+", r"\1", rest).rstrip("/")
    path, _, quant = rest.partition(":")
    owner, _, tail = path.partition("/")
    name, _, file = tail.partition("/")
    repo = f"{owner}/{name}"
    if not _REPO.fullmatch(repo) or ".." in repo or (quant and file):
        raise HubError(
            f"{text} names no repository.",
            "Give owner/name, owner/name:Q4_K_M or owner/name/file.gguf; "
            "`chatapp models search WORDS` finds some.",
        )
    return Spec(repo, quant, file)


def group_files(files: Iterable[HubFile]) -> tuple[Offer, ...]:
    """The models among the files of a repository; incomplete split ones are left out."""
    stems: dict[str, list[HubFile]] = {}
    for file in files:
        stem, dot, end = file.name.rpartition(".")
        if end.lower() != "gguf" or not dot or _NO_MODEL.search(PurePosixPath(file.name).name):
            continue
        stems.setdefault(_SHARD.sub("", stem), []).append(file)
    whole = {stem: sorted(parts, key=lambda file: file.name) for stem, parts in stems.items()}
    whole = {stem: parts for stem, parts in whole.items() if _is_whole(parts)}
    quants = {stem: read_quant(stem) for stem in whole}
    names = list(quants.values())
    offers = [
        Offer(
            quants[stem] if quants[stem] and names.count(quants[stem]) == 1 else stem, tuple(parts)
        )
        for stem, parts in whole.items()
    ]
    return tuple(sorted(offers, key=lambda offer: offer.size_bytes))


def read_quant(stem: str) -> str:
    """The quantisation that a file's name claims, as in `Q4_K_M`; empty when none."""
    found = _QUANT.findall(PurePosixPath(stem).name)
    return found[-1].upper().replace("FP16", "F16") if found else ""


def choose(repository: Repository, spec: Spec, machine: Machine | None) -> Offer:
    """What `spec` means there; without a quantisation or file, the one recommended."""
    offers = repository.offers
    if not offers:
        raise HubError(
            f"{repository.id} has no GGUF file.",
            f"Many models have them in a second repository: "
            f"chatapp models search {repository.id.partition('/')[2]}",
        )
    if spec.file:
        wanted = spec.file.lower()
        for offer in offers:
            if any(file.name.lower() == wanted for file in offer.files):
                return offer
    elif spec.quant:
        wanted = spec.quant.lower()
        for offer in offers:
            if wanted in (offer.name.lower(), PurePosixPath(offer.name).name.lower()):
                return offer
    else:
        return recommend(offers, machine)
    raise HubError(
        f"{repository.id} has no {spec.file or spec.quant}.",
        f"It has: {', '.join(offer.name for offer in offers)}.",
    )


def recommend(offers: Sequence[Offer], machine: Machine | None) -> Offer:
    """The one to take when nobody says which.

    Small models lose most by quantisation and save least: Q8_0 up to 2 GB. Else 4 bits, the usual
    middle, or the largest that fits this machine.
    """
    by_name = {offer.name.removeprefix("UD-"): offer for offer in reversed(offers)}
    best = by_name.get("Q8_0")
    if best is not None and best.size_bytes <= _LOSSLESS_ENOUGH and _fits(best, machine):
        return best
    for name in _BY_TASTE:
        if name in by_name and _fits(by_name[name], machine):
            return by_name[name]
    fitting = [offer for offer in offers if _fits(offer, machine)]
    return fitting[-1] if fitting else offers[0]


def _fits(offer: Offer, machine: Machine | None) -> bool:
    return machine is None or rough_fit(offer.size_bytes, machine) != "too large"


def _is_whole(parts: Sequence[HubFile]) -> bool:
    shards = [_SHARD.search(file.name.rpartition(".")[0]) for file in parts]
    if len(parts) == 1 and shards[0] is None:
        return True
    numbers = [int(shard.group(1)) for shard in shards if shard]
    counts = {int(shard.group(2)) for shard in shards if shard}
    return counts == {len(parts)} and numbers == list(range(1, len(parts) + 1))

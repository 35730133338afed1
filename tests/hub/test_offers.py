"""What a repository's file names mean, and which file is recommended."""

import pytest

from chatapp.errors import HubError
from chatapp.gguf.fit import Gpu, Machine, rough_fit
from chatapp.library.offers import HubFile, Spec, group_files, parse_spec, read_quant, recommend

GB = 10**9


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("a/b", Spec("a/b")),
        ("a/b:Q4_K_M", Spec("a/b", "Q4_K_M")),
        ("a/b/x-Q8_0.gguf", Spec("a/b", file="x-Q8_0.gguf")),
        ("a/b/sub/x.gguf", Spec("a/b", file="sub/x.gguf")),
        ("https://huggingface.co/a/b", Spec("a/b")),
        ("https://huggingface.co/a/b/tree/main", Spec("a/b")),
        ("https://huggingface.co/a/b/blob/main/x.gguf", Spec("a/b", file="x.gguf")),
        ("https://h/a/b/resolve/main/x.gguf?download=true", Spec("a/b", file="x.gguf")),
        ("hf.co/a/b:IQ4_XS", Spec("a/b", "IQ4_XS")),
    ],
)
def test_specs(text: str, spec: Spec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize("text", ["", "a", "/a", "a/", "../b", "a/..", "a b/c", "-a/b", "a/b/c:Q"])
def test_no_specs(text: str) -> None:
    with pytest.raises(HubError):
        parse_spec(text)


@pytest.mark.parametrize(
    ("stem", "quant"),
    [
        ("Qwen3-0.6B-Q8_0", "Q8_0"),
        ("Llama-3.2-1B-Instruct-IQ4_XS", "IQ4_XS"),
        ("model.Q4_K_M", "Q4_K_M"),
        ("x-UD-Q4_K_XL", "UD-Q4_K_XL"),
        ("gpt-oss-20b-mxfp4", "MXFP4"),
        ("Phi-3-mini-fp16", "F16"),
        ("sub/q4_0/model-bf16", "BF16"),
        ("tinyllama", ""),
        ("Q-enthusiasm", ""),
    ],
)
def test_quantisations_in_names(stem: str, quant: str) -> None:
    assert read_quant(stem) == quant


def _file(name: str, size: float = 1) -> HubFile:
    return HubFile(name, int(size * GB), "0" * 64)


def test_files_become_models() -> None:
    offers = group_files(
        [
            _file("m-Q8_0-00002-of-00002.gguf", 2),
            _file("m-Q8_0-00001-of-00002.gguf", 2),
            _file("m-F16-00001-of-00003.gguf", 9),
            _file("m-Q4_K_M.gguf", 2.5),
            _file("mmproj-m-F16.gguf"),
            _file("m.imatrix.gguf"),
            _file("README.md"),
        ]
    )
    assert [(offer.name, len(offer.files), offer.size_bytes / GB) for offer in offers] == [
        ("Q4_K_M", 1, 2.5),
        ("Q8_0", 2, 4.0),
    ]
    assert offers[1].files[0].name.endswith("00001-of-00002.gguf")
    two = group_files([_file("small-Q8_0.gguf", 1), _file("large-Q8_0.gguf", 2)])
    assert [offer.name for offer in two] == ["small-Q8_0", "large-Q8_0"]


def _offers(billions: float) -> list[object]:
    sizes = {"Q2_K": 0.36, "Q4_K_M": 0.6, "Q6_K": 0.82, "Q8_0": 1.06, "F16": 2.0}
    return list(group_files(_file(f"m-{q}.gguf", billions * s) for q, s in sizes.items()))


@pytest.mark.parametrize(
    ("billions", "memory_gb", "quant"),
    [(0.6, 8, "Q8_0"), (8, 16, "Q4_K_M"), (8, 5, "Q2_K"), (70, 16, "Q2_K"), (1.7, 2, "Q4_K_M")],
)
def test_recommended(billions: float, memory_gb: float, quant: str) -> None:
    memory = int(memory_gb * GB)
    assert recommend(_offers(billions), Machine(memory, memory)).name == quant  # type: ignore[arg-type]
    assert recommend(_offers(billions), None) is not None  # type: ignore[arg-type]


def test_a_rough_fit() -> None:
    gpu = Machine(16 * GB, 16 * GB, (Gpu("g", 8 * GB, 8 * GB),))
    assert rough_fit(5 * GB, gpu) == "GPU"
    assert rough_fit(12 * GB, gpu) == "part"
    assert rough_fit(40 * GB, gpu) == "too large"
    assert rough_fit(5 * GB, Machine(16 * GB, 16 * GB)) == "CPU"

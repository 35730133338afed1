"""llama.cpp as it is installed: whether it starts, what it was built for, what it sees."""

import platform
from pathlib import Path

from chatapp.doctor.report import Report
from chatapp.paths import Paths

_REINSTALL = "pip install --force-reinstall --no-cache-dir llama-cpp-python"


def check_engine(report: Report, paths: Paths) -> None:  # noqa: ARG001 - one form for all checks
    """Start llama.cpp in a child process and look at its build and devices."""
    from chatapp.engine.probe import probe

    facts = probe()  # an EngineError becomes a finding
    report.facts["engine"] = facts
    if not facts.get("struct_is_sane", True):
        report.add(
            "error",
            "engine",
            "llama-cpp-python and its llama.cpp library do not belong together.",
            _REINSTALL,
        )
    name = f"llama-cpp-python {facts.get('llama_cpp_python')}"
    report.add("ok", "engine", f"{name} starts.")
    judge_quota(report)
    judge_gpu(report, bool(facts.get("gpu_offload")))


def judge_quota(report: Report) -> None:
    """Whether a control group gives this process less than the cores of the machine."""
    facts = report.facts["engine"]
    quota, cores, threads = facts.get("processor_quota"), facts.get("cores"), facts.get("threads")
    if quota is not None and cores is not None and quota < cores:
        report.add(
            "note",
            "threads",
            f"This process may use {quota:.4g} of {cores} cores, by its control group's limit: "
            f"models run with {threads} thread{'' if threads == 1 else 's'}.",
        )


def judge_gpu(report: Report, gpu_offload: bool) -> None:
    """Whether a graphics card lies idle because llama.cpp was built for the processor alone."""
    gpus: list[str] = report.facts.get("machine", {}).get("gpus", [])
    if gpu_offload:
        seen = [
            device
            for device in report.facts["engine"].get("devices", [])
            if device["type"] in ("gpu", "integrated gpu")
        ]
        if seen:
            names = ", ".join(device["description"] for device in seen)
            report.add("ok", "gpu", f"llama.cpp uses {names}.")
        else:
            report.add(
                "warning",
                "gpu",
                "llama.cpp was built for GPUs and finds none; it runs on the CPU.",
                "Check the graphics driver; CUDA_VISIBLE_DEVICES may hide the card.",
            )
    elif gpus:
        report.add(
            "warning",
            "gpu",
            f"There is a GPU ({gpus[0]}), and llama.cpp was built for the CPU alone.",
            f'CMAKE_ARGS="-D{build_flag()}=on" {_REINSTALL}',
        )
    else:
        report.add("note", "gpu", "No GPU was found; models run on the CPU.")


def build_flag() -> str:
    """The CMake switch of llama.cpp's backend for this machine's graphics card."""
    if platform.system() == "Darwin":
        return "GGML_METAL"
    if Path("/dev/kfd").exists() and not Path("/proc/driver/nvidia/version").exists():
        return "GGML_HIP"
    return "GGML_CUDA"

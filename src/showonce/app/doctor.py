"""The verb `doctor`: what this machine can do for a config. Nothing is changed, nothing is downloaded."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from showonce.about import package_versions, snapshot
from showonce.config import Config
from showonce.environments.registry import all_task_ids
from showonce.errors import ShowonceError, TaskError, Unavailable, nearest

Verdict = Literal["ok", "no", "later", "needed"]  # needed = the config asks for it and it is not here

MIB: Final = 1 << 20
LOW_DISK: Final = 2 << 30  # bytes; below this a long run may not fit
LOAD_LIMIT: Final = 256 * MIB  # checkpoints up to this size are loaded as a test; larger ones are only looked at
CPU_FLAGS: Final = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512f", "avx2", "bf16", "asimd")
EXTRAS: Final = {
    "browser": ("playwright",), "desktop": ("mss", "Xlib" if sys.platform.startswith("linux") else "pynput"),
    "export": ("pyarrow",), "gym": ("gymnasium",), "miniwob": ("miniwob", "playwright"), "ocr": ("tesserocr",),
    "scale": ("fsspec", "ray"), "track": ("tensorboard", "wandb"),
    "dev": ("pytest", "hypothesis", "ruff", "mypy", "importlinter"),
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what was found."""

    name: str
    verdict: Verdict
    detail: str


def registered_tasks(prefix: str) -> list[str]:
    """Return the ids of the registered tasks that begin with `prefix`.

    Raises:
        TaskError: there is none (nearest named).
    """
    known = all_task_ids()
    found = [task for task in known if task.startswith(prefix)]
    if not found:
        raise TaskError(f"no task begins with {prefix!r}.{nearest(prefix, known)}")
    return found


def examine(config: Config) -> Iterator[Check]:
    """Yield every check, quick ones first."""
    here = snapshot()
    yield Check("showonce", "ok", f"{here['showonce']}, git {here['git'] or 'none (installed)'}")
    yield Check("python", "ok", f"{here['python']} ({sys.executable}) on {here['platform']}")
    yield Check("packages", "ok", ", ".join(f"{name} {version}" for name, version in package_versions().items()))
    yield _cpu()
    yield from _torch(config)
    yield from _backends(config)
    yield _checkpoint(config)
    yield _fonts()
    yield _display()
    yield _chromium(config)
    yield from _desktop(config)
    yield from _extras()
    yield from (_disk(name, getattr(config.output, name)) for name in ("logs", "adapters"))


def _cpu() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    flags = _cpu_flags()
    have = [flag for flag in CPU_FLAGS if flag in flags]
    fast = "bfloat16 in hardware" if {"amx_bf16", "avx512_bf16", "bf16"} & flags else "float32 is the fast dtype"
    return Check("cpu", "ok", f"{platform.machine()}, {usable} usable cores, {' '.join(have) or 'no flags'}; {fast}")


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    line = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return set(line.partition(":")[2].split())


def _torch(config: Config) -> Iterator[Check]:
    import torch

    devices = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    yield Check("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")
    for name, present in devices.items():
        detail = "always there" if name == "cpu" else ""
        if name == "cuda" and present:
            memory = torch.cuda.get_device_properties(0).total_memory / (1 << 30)
            detail = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB"
        wanted = config.inference.device == name and not present
        yield Check(f"device {name}", "ok" if present else "needed" if wanted else "no", detail)


def _backends(config: Config) -> Iterator[Check]:
    from showonce.inference import ENGINES, LATER, check_backend

    wanted = config.inference.backend
    for name in dict.fromkeys((*ENGINES.names(), *LATER, wanted)):
        try:
            check_backend(name)
            yield Check(f"inference={name}", "ok", "")
        except ShowonceError as error:
            verdict: Verdict = "needed" if name == wanted else "later"
            yield Check(f"inference={name}", verdict, str(error) if name == wanted else "not in this release")


def _checkpoint(config: Config) -> Check:
    from showonce.policy.vlm_policy import find_checkpoint, load_policy

    name = f"checkpoint {config.policy.checkpoint}"
    try:
        folder = find_checkpoint(config.policy.checkpoint)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        shown = f"{folder} ({size / MIB:.1f} MiB)"
        if size > LOAD_LIMIT:
            return Check(name, "ok", f"{shown}, not loaded: too large for a quick look")
        start = time.perf_counter()
        fingerprint = load_policy(config).engine.fingerprint
    except (ShowonceError, OSError) as error:
        return Check(name, "needed", str(error))
    return Check(name, "ok", f"{shown}, loads in {time.perf_counter() - start:.1f} s, fingerprint {fingerprint}")


def _fonts() -> Check:
    spec = importlib.util.find_spec("matplotlib")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [*Path(places[0], "mpl-data", "fonts", "ttf").glob("DejaVu*.ttf")] if places else []
    return Check("fonts", "ok" if found else "needed", f"{len(found)} DejaVu files that matplotlib carries")


def _display() -> Check:
    if importlib.util.find_spec("tkinter") is None:
        return Check("window", "no", "this Python has no tkinter; recording by hand needs it, --oracle does not")
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        virtual = "; Xvfb is here: `xvfb-run showonce ...`" if shutil.which("Xvfb") else ""
        return Check("window", "no", f"tkinter is here, but no display (DISPLAY is not set){virtual}")
    return Check("window", "ok", "tkinter and a display: recording by hand works")


def _chromium(config: Config) -> Check:
    from showonce.environments.browser.executable import find_browser

    settings = config.environment.settings
    wanted = config.environment.name in ("browser", "miniwob") and not settings.get("cdp_url")
    try:
        return Check(
            "browser", "ok", find_browser(str(settings.get("browser", "")), bool(settings.get("headless", True)))
        )
    except Unavailable as problem:
        return Check("browser", "needed" if wanted else "no", str(problem))


def _desktop(config: Config) -> Iterator[Check]:
    from showonce.environments.desktop.system import facts

    wanted = config.environment.name == "desktop"
    for fact in facts(str(config.environment.settings.get("display", ""))):
        yield Check(fact.name, "ok" if fact.here else "needed" if wanted else "no", fact.detail)


def _extras() -> Iterator[Check]:
    for extra, modules in EXTRAS.items():
        absent = [name for name in modules if importlib.util.find_spec(name) is None]
        detail = f"lacks {', '.join(absent)}: pip install 'showonce[{extra}]'" if absent else ", ".join(modules)
        yield Check(f"extra {extra}", "no" if absent else "ok", detail)


def _disk(name: str, place: str) -> Check:
    folder = Path(place).resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return Check(f"output.{name}", "needed", f"{place} cannot be written; set output.{name}=PATH")
    low = "" if free > LOW_DISK else ": too little for a long run"
    return Check(f"output.{name}", "no" if low else "ok", f"{place}, {free / (1 << 30):.1f} GiB free{low}")

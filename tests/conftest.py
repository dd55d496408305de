"""What every test gets: no network, one thread, a display of its own process, an empty working folder where it asks.

Tests may run side by side (``-n 2``, as run_tests.sh does). Each worker process then has its own X display, its own
browser and its own session fixtures. At the end every reason for a skip is counted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ.update({**ONE_THREAD, **OFFLINE, "MPLBACKEND": "Agg"})  # before any test imports torch or matplotlib

_server: subprocess.Popen[bytes] | None = None  # the X server of this process


def pytest_configure(config: pytest.Config) -> None:
    """Give this process a display of its own, so that no test takes the keyboard of another, or of a person.

    Nothing is started where Xvfb is missing, where tests are only collected, and in the process that hands tests out.
    """
    global _server
    hands_out = bool(getattr(config.option, "numprocesses", None)) and not hasattr(config, "workerinput")
    if hands_out or config.option.collectonly or sys.platform != "linux" or shutil.which("Xvfb") is None:
        return
    from tests.xscreen import start_server

    _server, os.environ["DISPLAY"] = start_server()
    os.environ.pop("WAYLAND_DISPLAY", None)


@pytest.fixture(autouse=True)
def no_known_secrets() -> Iterator[None]:
    """Forget every secret after a test: what writes files would take it out of those of the next."""
    from showonce.secrets import KNOWN

    yield
    KNOWN.clear()


def pytest_unconfigure() -> None:
    if _server is not None:
        _server.terminate()
        _server.wait(10)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow tests first: what takes minutes must not begin when the other workers are done."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)  # a stable sort


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole files, so that module fixtures are made once.

    A file that holds a slow test and has no module fixtures is handed out test by test.

    (``--dist loadgroup`` would do it by marks, but pytest-xdist 3.8 cannot write groups into the ids of pytest 9.2.)
    """
    from xdist.scheduler import LoadScopeScheduling

    @cache
    def in_parts(file: str) -> bool:
        text = (ROOT / file).read_text("utf-8")
        return "pytest.mark.slow" in text and 'scope="module"' not in text

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return nodeid if in_parts(file) else file

    config.option.loadscopereorder = False  # the order of collection: slow ones first
    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """Results that do not depend on how many cores there are. torch is touched only if a test module has loaded it."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, away from the source tree."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def python(elsewhere: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a new Python process in `elsewhere` and return it with its output."""

    def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=timeout, cwd=elsewhere, check=False
        )

    return run


@pytest.fixture(scope="session")
def toy_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of the tiny family: the code path is real, the weights are not."""
    from tests.tinyfactory import save_checkpoint

    return save_checkpoint(tmp_path_factory.mktemp("toy") / "checkpoint", tied=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested here, and why."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reasons[str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)] += 1
    if reasons:
        terminalreporter.section("skipped, by reason")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:4d}  {reason.removeprefix('Skipped: ')}")

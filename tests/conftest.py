"""What every test gets: no network, one thread, its own working folder where it asks; a count of what was skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ.update({**ONE_THREAD, **OFFLINE, "MPLBACKEND": "Agg"})  # before any test imports torch or matplotlib


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

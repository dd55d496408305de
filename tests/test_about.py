"""The snapshot of what runs."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from importlib import metadata

import pytest

from showonce.about import CHECKOUT, git_revision, package_versions, snapshot


def test_package_versions_are_the_installed_ones() -> None:
    found = package_versions()
    assert found["torch"] == metadata.version("torch")
    assert "missing" not in found.values()


def test_the_snapshot_is_plain_json() -> None:
    taken = snapshot()
    assert json.loads(json.dumps(taken)) == taken
    assert taken["python"] == platform.python_version()


@pytest.mark.skipif(not (CHECKOUT / ".git").exists(), reason="not a git checkout")
def test_the_revision_is_the_one_that_git_names() -> None:
    git = subprocess.run(["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if git.returncode:
        assert git_revision() is None  # no commit yet
    else:
        revision = git_revision() or ""
        assert revision.removesuffix("-dirty") == git.stdout.strip()
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", revision)

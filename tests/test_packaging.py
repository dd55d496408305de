"""The wheel: what is in it, and that it works in an environment and a folder of its own."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from tests.browsers import needs_browser

from showonce import __version__
from showonce.cli.codes import NOT_REACHED

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[ <>=!~;\[]", name)[0]).lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of scripts of a new environment: our wheel, and the packages of this one instead of a download."""
    home = tmp_path_factory.mktemp("clean")
    venv.create(home, with_pip=False)
    scripts = home / "bin"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--quiet", "--no-deps"]
    done = subprocess.run([*command, "--no-index", str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return scripts


@pytest.fixture
def call(installed: Path, elsewhere: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script of the clean environment in an empty folder."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(installed / script), *arguments]
        return subprocess.run(command, cwd=elsewhere, env=clean, capture_output=True, text=True, check=False)

    return run


def test_the_wheel_carries_configs_checkpoint_licence_and_nothing_else(wheel: Path) -> None:
    assert wheel.name.startswith(f"showonce-{__version__}-")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("configs", "checkpoints"):
        expected = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert expected, folder
        assert {f"showonce/_shipped/{path.as_posix()}" for path in expected} <= names
    kinds = {".py", ".js", ".css", ".html", ".json"}  # the demo site and the oracles are more than Python
    files = [path for path in (ROOT / "src").rglob("*") if path.suffix in kinds]
    code = {f"showonce/{path.relative_to(ROOT / 'src/showonce').as_posix()}" for path in files}
    assert code <= names
    assert {"showonce/py.typed", f"showonce-{__version__}.dist-info/licenses/LICENSE"} <= names
    assert {name.split("/")[0] for name in names} == {"showonce", f"showonce-{__version__}.dist-info"}
    assert not [name for name in names if name.endswith((".pyc", ".tmp"))]


def test_it_is_the_wheel_that_runs(call: Callable[..., subprocess.CompletedProcess[str]], installed: Path) -> None:
    code = "import showonce; from showonce.about import shipped_root; print(showonce.__file__, shipped_root('configs'))"
    done = call("python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(installed.parent)) for path in done.stdout.split())


def test_help_and_version(call: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert call("showonce", "--help").stdout.startswith("Usage: showonce")
    assert call("showonce", "--version").stdout == f"showonce {__version__}\n"


def test_shipped_configs_load_in_another_folder(call: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    code = (
        "from showonce import load_config; from showonce.about import shipped_names\n"
        "for name in shipped_names('configs'): print(load_config(name, ['learning/fault=lr_x100']).name)"
    )
    done = call("python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {path.stem for path in (ROOT / "configs").glob("*.yaml")}


def test_doctor_finds_the_shipped_checkpoint(call: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = call("showonce", "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fingerprint" in done.stdout


@needs_browser
def test_the_wheel_does_in_an_empty_folder_what_the_pages_show(
    call: Callable[..., subprocess.CompletedProcess[str]], elsewhere: Path
) -> None:
    """Shown, replayed and run; on the demo site too, whose pages and scripts are in the wheel. No folder is ours."""
    done = call("showonce", "record", "--oracle", "task=app/dev/single/0")
    assert done.returncode == 0, done.stderr
    (episode,) = elsewhere.glob("logs/*/episodes/*")
    assert call("showonce", "replay", "--check", str(episode)).returncode == 0
    alone = ("learning=frozen", "adapter=none", "experiment.episodes=1", "dashboard.mode=off")
    for words in (["task=configs/tasks/success_world.yaml"], ["--config", "configs/browser.yaml", "task=site/shapes"]):
        done = call("showonce", "run", *words, *alone)
        assert done.returncode in (0, NOT_REACHED), done.stderr
        assert "succeeded in " in done.stdout and "Traceback" not in done.stderr
    assert not list(elsewhere.glob("configs")) and not list(elsewhere.glob("checkpoints"))
    assert call("showonce", "runs").stdout.count("completed") == 4


# ------------------------------------------------------------------------------------ dependencies


def third_party_imports() -> Iterator[tuple[Path, str]]:
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                if top != "showonce" and top not in sys.stdlib_module_names:
                    yield path, top


def test_everything_imported_is_declared() -> None:
    declared = {normal(name) for name in PROJECT["dependencies"]}
    optional = {normal(name) for extra in PROJECT["optional-dependencies"].values() for name in extra}
    homes = metadata.packages_distributions()
    for path, name in third_party_imports():
        distributions = {normal(home) for home in homes.get(name, [name])}
        assert distributions & (declared | optional), f"{path} imports {name}"


def test_everything_declared_is_imported() -> None:
    homes = metadata.packages_distributions()
    used = {normal(home) for _, name in third_party_imports() for home in homes.get(name, [name])}
    assert {normal(name) for name in PROJECT["dependencies"]} <= used


def test_every_requirement_is_pinned() -> None:
    wanted = [
        *PROJECT["dependencies"],
        *(name for extra in PROJECT["optional-dependencies"].values() for name in extra),
    ]
    pinned = {normal(name) for name in PINS}
    assert {normal(name) for name in wanted} <= pinned
    assert PINS["torch"] in (ROOT / "scripts" / "setup_env.sh").read_text(encoding="utf-8")


def test_this_environment_is_the_pinned_one() -> None:
    """What passes here is what the pins promise."""
    for name, version in PINS.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        assert found.split("+")[0] == version, name


@pytest.mark.parametrize("name", ["CITATION.cff", "CHANGELOG.md"])
def test_the_version_is_the_same_everywhere(name: str) -> None:
    assert __version__ in (ROOT / name).read_text(encoding="utf-8")

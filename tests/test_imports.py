"""Who imports whom: the layers of pyproject.toml, checked by import-linter; and what must start without torch."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import grimp
import pytest
from tests.browsers import needs_browser
from tests.people import CdpPerson, running_browser

from showonce.config import Config
from showonce.runs.folder import start_run

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "showonce"
HEAVY = {"torch", "transformers", "peft", "hydra", "omegaconf", "matplotlib", "scipy"}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def lint(config: Path, python: Run) -> subprocess.CompletedProcess[str]:
    code = (
        f"import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports({str(config)!r}, no_cache=True))"
    )
    return python("-c", code)


def test_the_layers_hold(python: Run) -> None:
    done = lint(ROOT / "pyproject.toml", python)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


def test_the_linter_would_see_a_broken_layer(python: Run, tmp_path: Path) -> None:
    """The same contracts upside down must fail, else the test above proves nothing."""
    config = tmp_path / "upside_down.toml"
    layers = '", "'.join(["errors", "cli"])
    config.write_text(
        f'[tool.importlinter]\nroot_package = "showonce"\n[[tool.importlinter.contracts]]\nname = "up"\n'
        f'type = "layers"\ncontainers = ["showonce"]\nlayers = ["{layers}"]\n'
    )
    done = lint(config, python)
    assert done.returncode == 1
    assert "0 kept, 1 broken" in done.stdout


def test_every_module_has_its_layer() -> None:
    """`exhaustive` in the contract does the same; this names the layer list when it is forgotten."""
    layers = next(contract for contract in CONTRACTS if contract["id"] == "layers")
    assert layers["exhaustive"] is True
    named = {part.strip() for layer in layers["layers"] for part in re.split("[|:]", layer)}
    present = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert present - named <= {"__init__", "__main__"}


def test_there_are_at_most_14_layers() -> None:
    layers = next(contract for contract in CONTRACTS if contract["id"] == "layers")
    assert len(layers["layers"]) <= 14


def test_the_top_of_the_package_has_at_most_16_modules_besides_packages() -> None:
    assert len([path.name for path in SOURCE.glob("*.py")]) <= 16


def circles(graph: grimp.ImportGraph) -> set[frozenset[str]]:
    """Return the groups of modules that import each other, directly or through others; imports in functions count."""
    above = {module: graph.find_upstream_modules(module) for module in graph.modules}
    groups = {frozenset({module, *(o for o in above[module] if module in above[o])}) for module in graph.modules}
    return {group for group in groups if len(group) > 1}


def test_no_file_imports_itself_through_others() -> None:
    graph = grimp.build_graph("showonce", exclude_type_checking_imports=True, cache_dir=None)
    assert len(graph.modules) > 200
    found = {" <-> ".join(sorted(name.removeprefix("showonce.") for name in group)) for group in circles(graph)}
    assert not found, found


def test_a_circle_of_three_would_be_seen() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]:
        graph.add_import(importer=importer, imported=imported)
    assert circles(graph) == {frozenset("abc")}


def imported(python: Run, code: str) -> set[str]:
    """Top-level names of what a new process has imported after `code`."""
    done = python("-c", f"{code}\nimport sys; print('\\n'.join({{name.split('.')[0] for name in sys.modules}}))")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["rollback", "--help"]])
def test_help_imports_nothing_heavy(python: Run, arguments: list[str]) -> None:
    got = imported(python, f"from showonce.cli import main\nassert main({arguments!r}) == 0")
    assert not got & (HEAVY | {"numpy", "PIL", "rich"})


def test_every_verb_gives_its_help_without_anything_heavy(python: Run) -> None:
    code = "from showonce.cli import cli, main\nfor verb in cli.commands: assert main([verb, '--help']) == 0"
    assert not imported(python, code) & HEAVY


def test_import_showonce_is_light(python: Run) -> None:
    assert not imported(python, "import showonce; dir(showonce)") & (HEAVY | {"numpy", "PIL", "rich", "click"})


@pytest.mark.parametrize("module", ["runs.index", "runs.report", "versions.store", "versions.ledger", "app.rollback"])
def test_runs_stores_and_rollback_need_no_torch(python: Run, module: str) -> None:
    got = imported(python, f"import showonce.{module}, showonce.settings")
    assert not got & {"torch", "transformers", "peft", "matplotlib"}


def test_the_dashboard_needs_no_torch(python: Run) -> None:
    assert not imported(python, "import showonce.dashboard") & {"torch", "transformers", "peft", "hydra"}


MODELS = {"torch", "transformers", "peft", "safetensors", "llguidance", "scipy", "matplotlib"}
TOLD = (
    "import sys\nfrom showonce.cli import main\ncode = main({words!r})\nprint('MODULES', *sys.modules)\nsys.exit(code)"
)


def top_level(out: str) -> set[str]:
    return {name.split(".")[0] for name in out.partition("MODULES ")[2].split()}


@needs_browser
def test_a_page_is_recorded_and_replayed_without_torch(elsewhere: Path) -> None:
    """A person records a click on a page of their own; it is replayed by template in another browser."""
    page = "<!doctype html><body style='margin:0'><button style='margin:50px;width:120px;height:40px' "
    (elsewhere / "page.html").write_text(page + "onclick=\"this.textContent='Saved'\">Save")
    task = f"goal: save it\nenvironment: browser\nstart: {elsewhere / 'page.html'}\n"
    (elsewhere / "mine.yaml").write_text(task + "success: {kind: text, value: Saved}\n")
    with running_browser(elsewhere / "profile", 640, 480) as url:
        person = CdpPerson(url)
        words = ["record", "--yes", "task=mine.yaml", f"environment.settings.cdp_url={url}", "environment=browser"]
        process = subprocess.Popen(
            [sys.executable, "-c", TOLD.format(words=words)], stdout=subprocess.PIPE, text=True, cwd=elsewhere
        )
        try:
            assert process.stdout is not None
            assert "Recording." in process.stdout.readline()
            person.sit_down()
            person.click(100, 70)
            assert "Save" in process.stdout.readline()
            person.key("F10", "", "ctrl")
            out = process.stdout.read()
            assert process.wait(30) == 0, out
        finally:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]
            person.close()
    assert not top_level(out) & MODELS
    (episode,) = elsewhere.glob("logs/*/episodes/*")
    words = ["replay", "--mode", "template", str(episode), "task=mine.yaml", "environment=browser"]
    sized = ["environment.settings.width=640", "environment.settings.height=480"]
    done = subprocess.run(
        [sys.executable, "-c", TOLD.format(words=[*words, *sized])], capture_output=True, text=True, cwd=elsewhere,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert not top_level(done.stdout) & MODELS


@pytest.mark.parametrize(
    "words",
    [["runs"], ["watch", "latest"], ["doctor", "--tasks"], ["doctor", "--settings", "browser"], ["record", "--oracle"]],
)
def test_verbs_without_a_model_import_none(python: Run, elsewhere: Path, words: list[str]) -> None:
    start_run(Config(name="made"))
    code = f"import sys; from showonce.cli import main; assert main({words!r}) in (0, 2)"
    assert not imported(python, code) & (MODELS | {"playwright"})

"""Parts by name: built in, by entry point, by module:Name and file.py:Name; and what is said of a wrong one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from showonce.errors import ConfigError
from showonce.plugins import Registry

PARTS = Registry("learner", "showonce.test_parts", {"path": "pathlib:Path", "json": "json:loads"}, "learning.learner")


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that registers parts; returns the folder that it is installed in."""
    site = tmp_path / "site"
    _install(site, "goodpack", "class Part: ...\n", "mine = goodpack:Part\njson = goodpack:Part\n")
    monkeypatch.syspath_prepend(site)
    return site


def _install(site: Path, name: str, code: str, points: str) -> None:
    about = site / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (site / f"{name}.py").write_text(code)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[showonce.test_parts]\n{points}")


def key_of(name: str) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        PARTS.load(name)
    return caught.value.key, str(caught.value)


def test_built_in_parts_are_imported_by_name() -> None:
    assert PARTS.load("path") is Path
    assert PARTS.names() == ("json", "path")


def test_an_entry_point_is_a_name_like_any_other_and_replaces_no_built_in_one(distribution: Path) -> None:
    import json

    assert PARTS.names() == ("json", "mine", "path")
    assert "goodpack" not in sys.modules
    assert PARTS.load("mine").__module__ == "goodpack"
    assert PARTS.load("json") is json.loads


def test_two_packages_that_register_one_name_are_both_named(distribution: Path) -> None:
    _install(distribution, "otherpack", "class Part: ...\n", "mine = otherpack:Part\n")
    key, text = key_of("mine")
    assert key == "plugin.twice"
    assert "goodpack" in text and "otherpack" in text


def test_an_unknown_name_gives_the_setting_and_the_nearest(distribution: Path) -> None:
    key, text = key_of("mime")
    assert key == "plugin.unknown"
    assert text.startswith("learning.learner='mime' is no known learner. Did you mean 'mine'?")


@pytest.mark.parametrize("name", ["my_part:Mine", "my_part.py:Mine", "./my_part.py:Mine", "my_part:Mine.Inner"])
def test_a_part_of_the_working_folder(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (elsewhere / "my_help.py").write_text("WORD = 'helped'\n")
    (elsewhere / "my_part.py").write_text(
        "import dataclasses\nfrom my_help import WORD\n"
        "@dataclasses.dataclass\nclass Mine:\n    word: str = WORD\n    class Inner:\n        word = WORD\n"
    )
    for module in ("my_part", "my_help"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    before = list(sys.path)
    part = PARTS.load(name)
    assert part().word == "helped"
    assert PARTS.load(name) is part
    assert sys.path == before
    for module in ("my_part", "my_help"):  # another test has another file of this name
        monkeypatch.delitem(sys.modules, module, raising=False)


@pytest.mark.parametrize(
    ("name", "code", "key", "words"),
    [
        ("broken_a.py:Part", "x = 1\nraise RuntimeError('out of order')\n", "plugin.broken", "order (FILE:2)"),
        ("broken_a:Part", "x = 1\nraise RuntimeError('out of order')\n", "plugin.broken", "order (FILE:2)"),
        ("broken_a.py:Part", "x = 1\n\ndef y(:\n", "plugin.broken", "SyntaxError: invalid syntax (FILE:3)"),
        ("broken_a:Part", "import no_such_thing\n", "plugin.broken", "named 'no_such_thing' (FILE:1)"),
        ("broken_a:Part", "import sys\nsys.exit(0)\n", "plugin.broken", "SystemExit: 0 (FILE:2)"),
        ("broken_a:Prat", "class Part: ...\n", "plugin.attribute", "has no 'Prat'. Did you mean 'Part'?"),
        ("broken_a.py:Prat", "class Part: ...\n", "plugin.attribute", "has no 'Prat'. Did you mean 'Part'?"),
        ("broken_b:Part", "class Part: ...\n", "plugin.missing", "no module 'broken_b' on the Python path"),
        ("broken_b:Part", "class Part: ...\n", "plugin.missing", "Did you mean 'broken_a'?"),
        ("broken_b.py:Part", "class Part: ...\n", "plugin.missing", "Did you mean 'broken_a.py'?"),
        ("no_folder/broken.py:Part", "", "plugin.missing", "there is no file"),
        (":Part", "", "plugin.broken", "Empty module name"),
        ("..up:Part", "", "plugin.broken", "relative import"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said_with_its_place(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str, key: str, words: str
) -> None:
    file = elsewhere / "broken_a.py"
    file.write_text(code)
    got, text = key_of(name)
    monkeypatch.delitem(sys.modules, "broken_a", raising=False)
    assert got == key
    assert words.replace("FILE", str(file)) in text


def test_a_fault_of_a_built_in_part_is_not_explained_away() -> None:
    with pytest.raises(AttributeError):
        Registry("learner", "showonce.test_parts", {"gone": "pathlib:Gone"}).load("gone")


def test_check_imports_nothing(distribution: Path) -> None:
    for name in ("path", "mine", "nowhere:Nothing"):
        PARTS.check(name)
    assert "nowhere" not in sys.modules
    with pytest.raises(ConfigError) as caught:
        PARTS.check("pth")
    assert caught.value.key == "plugin.unknown"

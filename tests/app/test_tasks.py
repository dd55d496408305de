"""Command line, task file and config: whose environment, settings, limits and success check hold."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import Board

from showonce.app.plan import Plan, make_plan
from showonce.app.record import in_sight
from showonce.cli import main
from showonce.errors import ConfigError, ShowonceError
from showonce.settings import load_config
from showonce.types import Success

SHOP = (
    "goal: buy tea\nenvironment: {name: browser, settings: {width: 900, quiet: 0.5}}\nstart: http://127.0.0.1:9/shop\n"
)


def plan_of(task: str, *overrides: str, config: str | None = None) -> Plan:
    Path("mine.yaml").write_text(task)
    return make_plan(load_config(config, ["task=mine.yaml", *overrides]))


def done_in(task: str, *overrides: str, config: str | None = None) -> tuple[str, dict[str, Any]]:
    plan = plan_of(task, *overrides, config=config)
    name, settings = plan.environment.resolve(plan.tasks[0])
    assert plan.tasks[0].environment == name
    return name, dict(settings)


def refused(task: str, *overrides: str, config: str | None = None) -> str:
    with pytest.raises(ShowonceError) as told:
        plan_of(task, *overrides, config=config)
    assert told.value.exit_code == 2
    return str(told.value)


# ------------------------------------------------------------------------------------------ what reaches the task


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (["environment.settings.headless=false"], {"width": 900, "quiet": 0.5, "headless": False}),
        (["environment.settings.width=400"], {"width": 400, "quiet": 0.5}),
        (["environment=browser", "environment.settings.width=400"], {"width": 400, "quiet": 0.5}),
        (["environment.settings={width: 300, text: true}"], {"width": 300, "quiet": 0.5, "text": True}),
        (["environment.settings.cdp_url=http://127.0.0.1:9"], {"width": 900, "quiet": 0.5, "cdp_url": "http://127.0.0.1:9"}),
    ],
)  # fmt: skip
def test_the_command_line_wins_over_a_task_file(elsewhere: Path, overrides: list[str], wanted: dict[str, Any]) -> None:
    assert done_in(SHOP, *overrides) == ("browser", wanted)


def test_a_task_file_wins_over_a_config_and_the_config_over_the_default(elsewhere: Path) -> None:
    Path("house.yaml").write_text(
        "environment: {name: browser, settings: {width: 640, scale: 2.0}}\nlimits: {max_steps: 40}\n"
    )
    assert done_in(SHOP, config="house.yaml") == ("browser", {"width": 900, "quiet": 0.5, "scale": 2.0})
    assert done_in(SHOP, "environment.settings.width=500", config="house.yaml")[1]["width"] == 500
    (task,) = plan_of(SHOP, config="house.yaml").tasks
    assert task.limits.max_steps == 40
    (task,) = plan_of(SHOP + "limits: {max_steps: 3}\n", config="house.yaml").tasks
    assert task.limits.max_steps == 3
    (task,) = plan_of(SHOP + "limits: {max_steps: 3}\n", "limits.max_steps=12", config="house.yaml").tasks
    assert task.limits.max_steps == 12, "a value that is the default is a value"


def test_so_do_success_checks(elsewhere: Path) -> None:
    Path("house.yaml").write_text("success: {url: '*/house*'}\n")
    assert plan_of(SHOP, config="house.yaml").tasks[0].success == Success("url", "*/house*")
    own = SHOP + "success: {kind: text, value: thanks}\n"
    assert plan_of(own, config="house.yaml").tasks[0].success == Success("text", "thanks")
    assert plan_of(own, "success.url=*/line*").tasks[0].success == Success("url", "*/line*")


def test_a_task_file_that_names_no_environment_takes_the_runs(elsewhere: Path) -> None:
    assert done_in("goal: click ok") == ("embedded", {})
    assert done_in("goal: click ok", "environment=browser")[0] == "browser"
    assert done_in("goal: click ok", "environment=desktop", "environment.settings.monitor=2")[1]["monitor"] == 2
    settings = "goal: click ok\nenvironment: {settings: {width: 300}}\n"
    assert done_in(settings, "environment=browser") == ("browser", {"width": 300})
    assert "mine.yaml" in (said := refused(settings)) and "unknown key 'width'" in said, "embedded has no width"


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["environment=desktop"], ["environment desktop", "'user/mine' is done in browser"]),
        (["environment.name=miniwob"], ["environment miniwob", "done in browser"]),
        (["environment=embedded"], ["environment embedded", "done in browser"]),
        (["environment.settings.theme=dark"], ["'theme'", "browser"]),
        (["environment.settings.hedless=false"], ["'hedless'", "Did you mean 'headless'?"]),
        (["environment.settings.width=3"], ["environment.settings.width=3 must be a number in [16, 8192]"]),
        (["environment.settings.width=wide"], ["environment.settings.width must be a whole number"]),
    ],
)
def test_what_cannot_reach_the_task_is_refused(elsewhere: Path, overrides: list[str], words: list[str]) -> None:
    said = refused(SHOP, *overrides)
    for word in words:
        assert word in said


@pytest.mark.parametrize("task", ["app/dev/single/0", "skill/click_icon", "site/table"])
def test_a_task_that_ships_is_not_done_elsewhere(task: str) -> None:
    run, home = ("desktop", "browser") if task.startswith("site") else ("browser", "embedded")
    with pytest.raises(ConfigError, match=f"environment {run}, but task '{task}' is done in {home}"):
        make_plan(load_config(None, [f"task={task}", f"environment={run}"]))
    assert make_plan(load_config(None, [f"task={task}"])).environment.name == "auto"


def test_settings_of_another_environment_in_a_config_are_refused(elsewhere: Path) -> None:
    Path("house.yaml").write_text("environment:\n  name: desktop\n  settings:\n    monitor: 2\n")
    said = refused(SHOP, config="house.yaml")
    assert "environment.settings.monitor is a setting of desktop, but task 'user/mine' is done in browser" in said
    Path("house.yaml").write_text("environment: {name: desktop}\n")
    assert done_in(SHOP, config="house.yaml")[0] == "browser", "a name alone is only a default"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("environment:\n  settings:\n    hedless: true\n", ["house.yaml, line 3", "'hedless'", "mean 'headless'?"]),
        ("enviroment:\n  name: browser\n", ["house.yaml, line 1", "'enviroment'", "Did you mean 'environment'?"]),
        ("environment:\n  nane: browser\n", ["house.yaml, line 2", "'nane'", "Did you mean 'name'?"]),
        ("environment:\n  name: browser\n  settings: {widht: 400}\n", ["house.yaml, line 3", "'widht'", "'width'"]),
    ],
)  # fmt: skip
def test_a_misspelt_key_in_a_config_names_file_line_and_nearest(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], text: str, words: list[str]
) -> None:
    Path("mine.yaml").write_text(SHOP)
    Path("house.yaml").write_text(text)
    assert main(["run", "--config", "house.yaml", "task=mine.yaml"]) == 2
    said = capsys.readouterr().err
    for word in words:
        assert word in said
    assert not Path("logs").exists()


def test_the_override_is_quoted(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(SHOP)
    for override in ("environment.settings.hedless=false", "environment=desktop"):
        for verb in ("run", "record"):
            assert main([verb, "task=mine.yaml", override]) == 2
            assert capsys.readouterr().err.startswith(f"showonce: override '{override}': ")
    assert not Path("logs").exists()


# ------------------------------------------------------------------------------------------ environments of one's own


class Keyed(Board):
    """An environment without `Settings`: they come as keyword arguments."""

    def __init__(self, host: str = "", port: int = 80) -> None:
        super().__init__()
        self.host, self.port = host, port


class Open(Board):
    """One that takes any keyword."""

    def __init__(self, **all_of_them: Any) -> None:
        super().__init__()
        self.given = all_of_them


class Needs(Board):
    def __init__(self, host: str) -> None:
        super().__init__()


class NoEnvironment:
    def reset(self) -> None: ...


@pytest.fixture
def here() -> str:
    sys.modules.setdefault(__name__, sys.modules[Keyed.__module__])
    return __name__


def test_settings_reach_a_class_as_keywords(elsewhere: Path, here: str) -> None:
    plan = plan_of("goal: g\nreset: none", f"environment={here}:Keyed", "environment.settings.port=8080")
    made: Any = plan.environment(plan.tasks[0])
    assert (type(made).__name__, made.port) == ("Keyed", 8080)
    task = f"goal: g\nenvironment: {{name: '{here}:Keyed', settings: {{host: a, port: 1}}}}\n"
    plan = plan_of(task, "environment.settings.port=2")
    made = plan.environment(plan.tasks[0])
    assert (made.host, made.port) == ("a", 2)
    plan = plan_of("goal: g", f"environment.name={here}:Open", "environment.settings.any.thing=3")
    assert plan.environment(plan.tasks[0]).given == {"any": {"thing": 3}}  # type: ignore[attr-defined]


def test_what_a_class_does_not_take_is_refused(elsewhere: Path, here: str) -> None:
    said = refused("goal: g", f"environment={here}:Keyed", "environment.settings.prot=8080")
    assert "'prot'" in said and "Did you mean 'port'?" in said
    said = refused(f"goal: g\nenvironment: {{name: '{here}:Keyed', settings: {{hots: a}}}}\n")
    assert "mine.yaml" in said and "Did you mean 'host'?" in said
    assert "host" in refused("goal: g", f"environment={here}:Needs")


def test_a_class_that_is_no_environment_is_refused_by_name(elsewhere: Path, here: str) -> None:
    said = refused("goal: g", f"environment={here}:NoEnvironment")
    assert "NoEnvironment' is no environment: it has no observe(), execute(), verify(), close()" in said
    assert "is no environment" in refused("goal: g", "environment=os:getcwd")
    assert "no module 'nothing.at'" in refused("goal: g", "environment=nothing.at:All")


def test_a_class_in_the_working_folder_is_found(elsewhere: Path) -> None:
    Path("mine_env.py").write_text("from tests.app.test_tasks import Keyed\nclass Mine(Keyed): ...\n")
    plan = plan_of("goal: g", "environment=mine_env:Mine", "environment.settings.port=5")
    made: Any = plan.environment(plan.tasks[0])
    assert made.port == 5


# ------------------------------------------------------------------------------------------ pages of one's own


@pytest.mark.parametrize("config", [None, "browser", "miniwob"])
def test_a_page_of_ones_own_never_gets_the_size_made_for_the_embedded_model(
    elsewhere: Path, config: str | None
) -> None:
    home = "miniwob" if config == "miniwob" else "browser"
    name, settings = done_in(f"goal: buy tea\nenvironment: {home}\nstart: http://127.0.0.1:9/\n", config=config)
    assert (name, {"width", "height", "frame", "area"} & settings.keys()) == (home, set())


def test_a_page_that_ships_does(elsewhere: Path) -> None:
    for config, size in (
        ("browser", {"width": 224, "height": 224, "frame": 112}),
        ("miniwob", {"area": "task", "frame": 112}),
    ):
        plan = make_plan(load_config(config))
        assert plan.environment.resolve(plan.tasks[0])[1] == size
        plan = make_plan(load_config(config, ["environment.settings.frame=64"]))
        assert plan.environment.resolve(plan.tasks[0])[1] == {**size, "frame": 64}
    plan = make_plan(load_config("browser", ["task=configs/tasks/success_url.yaml"]))
    assert plan.environment.resolve(plan.tasks[0])[1] == {"width": 224, "height": 224, "frame": 112}, (
        "it says so itself"
    )


# ------------------------------------------------------------------------------------------ seen recordings


def recorded(capsys: pytest.CaptureFixture[str], task: str, *words: str) -> tuple[int, str]:
    Path("mine.yaml").write_text(task)
    code = main(["record", "task=mine.yaml", *words])
    return code, capsys.readouterr().err


def test_a_recording_does_not_begin_unseen(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    page = "goal: buy tea\nenvironment: browser\nstart: http://127.0.0.1:9/\n"
    for words in ([], ["environment.settings.headless=false"], ["environment=browser"]):
        code, said = recorded(capsys, page, *words)
        assert code == 3 and "xvfb-run" in said and "cdp_url" in said
    monkeypatch.setenv("DISPLAY", os.environ.get("DISPLAY", ":0"))
    code, said = recorded(capsys, page.replace("browser", "{name: browser, settings: {headless: true}}"))
    assert code == 2 and "nobody sees" in said
    assert not Path("logs").exists(), "nothing is made for a recording that cannot begin"


@pytest.mark.parametrize(
    ("overrides", "headless", "told"),
    [
        ([], False, []),
        (["environment.settings.headless=false"], False, []),
        (["environment.settings.headless=true"], True, ["reach it by remote debugging"]),
        (["environment.settings.cdp_url=http://127.0.0.1:9"], None, []),
    ],
)
def test_a_recording_has_a_window_unless_the_command_line_says_otherwise(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], headless: bool | None, told: list[str]
) -> None:
    monkeypatch.setenv("DISPLAY", os.environ.get("DISPLAY", ":0"))
    plan = plan_of("goal: buy tea\nenvironment: browser\nstart: http://127.0.0.1:9/\n", *overrides)
    said: list[str] = []
    seen = in_sight(plan, plan.tasks[0], lambda text, final: said.append(text))
    assert seen.environment.resolve(seen.tasks[0])[1].get("headless") is headless
    assert len(said) == len(told) and all(word in text for word, text in zip(told, said, strict=True))
    plan = plan_of("goal: click ok\nenvironment: embedded\n")
    assert in_sight(plan, plan.tasks[0], lambda text, final: said.append(text)) is plan, "it has no such setting"

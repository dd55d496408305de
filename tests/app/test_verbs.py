"""Every verb on the toy model and the embedded world: what it leaves behind, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.runs.test_metrics import KEYS
from tests.toys import lesson_config

from showonce.app import verbs as app
from showonce.cli import main
from showonce.config import (
    AdapterConfig,
    Config,
    DashboardConfig,
    EnvironmentConfig,
    ExperimentConfig,
    OutputConfig,
    PolicyConfig,
)
from showonce.demonstrations import load_demonstration, load_episode
from showonce.errors import (
    BadInput,
    CheckpointCorrupt,
    ConfigError,
    DemonstrationError,
    DiskError,
    ShowonceError,
    StoreError,
)
from showonce.runs.event_file import read_events
from showonce.runs.index import read_index, resolve_run, start_run
from showonce.settings import load_config, to_yaml
from showonce.versions.store import AdapterStore

TASK = "app/dev/single/0"
MakeConfig = Callable[..., Config]


@pytest.fixture
def make(toy_checkpoint: Path, elsewhere: Path) -> MakeConfig:
    """Return a function that makes the config of a small run in an empty folder; keywords are fields of `Config`."""

    def build(**changes: Any) -> Config:
        base = Config(
            name="t",
            task=TASK,
            policy=PolicyConfig(checkpoint=str(toy_checkpoint), adapter=AdapterConfig("lora", rank=4)),
            learning=lesson_config(sdft={"batch_size": 2}, ratchet={"probe_every": 3, "probe_batch": 1}),
            experiment=ExperimentConfig(episodes=3, eval_screens=2, retention_per_family=0),
            output=OutputConfig(),
            dashboard=DashboardConfig("off"),
        )
        return replace(base, **changes)

    return build


def the_run() -> Path:
    (found,) = Path("logs").glob("*-t")
    return found


def events(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    return [e for e in read_events(folder / "events.jsonl")[0] if kind in (None, e["kind"])]


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


# ------------------------------------------------------------------------------------------ run


def test_a_run_leaves_everything_a_reader_wants(make: MakeConfig) -> None:
    config = make()
    assert app.run(config) == 0
    folder = the_run()
    left = {path.name for path in folder.iterdir()}
    assert left >= {"config.yaml", "versions.json", "events.jsonl", "episodes", "metrics.json", "summary.md",
                    "learning_curve.png", "demonstration"}  # fmt: skip
    assert load_config(folder / "config.yaml") == config
    assert set(metrics(folder)) >= KEYS
    told = [event["kind"] for event in events(folder)]
    assert told[0] == "run_started" and told[-1] == "run_finished"
    assert events(folder, "run_finished")[0]["reason"] == "completed"
    (record,) = read_index("logs")
    assert record.status == "completed" and record.updates == metrics(folder)["updates"]["accepted"] > 0


def test_every_mth_attempt_is_a_probe_and_only_the_others_teach(make: MakeConfig) -> None:
    app.run(make(experiment=ExperimentConfig(episodes=6)))
    phases = [e["phase"] for e in events(the_run(), "episode_started") if e["phase"] != "demonstration"]
    assert phases == ["run", "run", "probe"] * 2
    assert metrics(the_run())["practice"]["distinct_screens"] == 4


def test_the_adapter_outlives_the_run(make: MakeConfig) -> None:
    app.run(make())
    folder = the_run()
    with AdapterStore("adapters", folder.name, readonly=True) as store:
        assert store.champion is not None and store.champion > "v0000"
        assert metrics(folder)["checkpoint"] == str(store.folder(store.champion))
        assert store.ledger.updates_run(folder.name) == metrics(folder)["updates"]["accepted"]


def test_an_adapter_by_name_is_learned_on_and_later_acts_alone(make: MakeConfig) -> None:
    app.run(make(name="first", adapter="mine"))
    app.run(make(name="second", adapter="mine"))
    with AdapterStore("adapters", "mine", readonly=True) as store:
        assert store.champion is not None and store.champion > "v0001"
        champion = store.champion
    frozen = replace(make().learning, enabled=False)
    assert app.run(make(adapter="mine", learning=frozen)) == 0
    own = [event for event in events(the_run(), "episode_started") if event["phase"] == "run"]
    assert {event["adapter_version"] for event in own} == {champion}
    assert AdapterStore("adapters", "mine").champion == champion


def test_an_adapter_folder_of_peft_can_be_begun_with(make: MakeConfig) -> None:
    from showonce.policy.vlm_policy import load_policy

    policy = load_policy(make())
    assert policy.adapter is not None
    tensors = {key: value + 0.1 for key, value in policy.adapter.tensors("candidate").items()}
    policy.adapter.set_tensors(tensors, "candidate")
    policy.adapter.save("brought")
    wanted = policy.adapter.hash("candidate")
    app.run(make(adapter="brought", experiment=ExperimentConfig(episodes=0)))
    (first,) = events(the_run(), "checkpoint")
    assert first["hash"] == wanted


def test_without_learning_nothing_is_learned(make: MakeConfig) -> None:
    frozen = replace(make().learning, enabled=False)
    assert app.run(make(learning=frozen, adapter="none")) == 0
    folder = the_run()
    assert not Path("adapters").exists() and metrics(folder)["checkpoint"] is None
    assert events(folder, "run_started")[0]["learner"] == "frozen" and not events(folder, "update")
    own = [event for event in events(folder, "episode_started") if event["phase"] == "run"]
    assert {event["adapter_version"] for event in own} == {"base"}


def test_in_context_keeps_the_demonstration_in_view(make: MakeConfig) -> None:
    assert app.run(make(learning=replace(make().learning, learner="in_context"), adapter="none")) == 0
    assert metrics(the_run())["episodes"]["success"] + metrics(the_run())["episodes"]["failure"] == 3


def test_the_shadow_answers_and_is_never_executed(make: MakeConfig) -> None:
    app.run(make(learning=replace(make().learning, shadow_every=1)))
    shadows, steps = (events(the_run(), kind) for kind in ("shadow", "step"))
    played = [s for s in steps if s["executor"] == "student"]
    assert len(shadows) == len(played) > 0 and all(isinstance(s["agrees"], bool) for s in shadows)


def test_two_tasks_in_one_run(make: MakeConfig) -> None:
    app.run(make(task="", tasks=(TASK, "app/dev/single/1")))
    tasks = {e["task"] for e in events(the_run(), "episode_started") if e["phase"] == "run"}
    assert tasks == {TASK, "app/dev/single/1"}


def test_a_task_file_of_ones_own(make: MakeConfig) -> None:
    Path("mine.yaml").write_text("goal: click red circle\nenvironment: {name: embedded, settings: {theme: dark}}\n")
    assert app.run(make(task="mine.yaml")) == 0
    assert events(the_run(), "run_started")[0]["goal"] == "click red circle"


def test_a_resumed_run_goes_on_with_episodes_and_budget(make: MakeConfig) -> None:
    config = make()
    app.run(config)
    folder = the_run()
    before = metrics(folder)["updates"]["accepted"]
    assert app.run(replace(config, resume=str(folder), experiment=ExperimentConfig(episodes=5))) == 0
    attempts = [e for e in events(folder, "episode_started") if e["phase"] in ("run", "probe")]
    assert len(attempts) == 5 and len({(e["phase"], e["seed"]) for e in attempts}) == 5
    with AdapterStore("adapters", folder.name, readonly=True) as store:
        assert store.ledger.updates_run(folder.name) == metrics(folder)["updates"]["accepted"] > before
    assert metrics(folder)["wall_s"] > events(folder, "run_finished")[0]["seconds"]


def interrupted(config: Config) -> str:
    """Begin a run in `here` in another process, press Ctrl-C after its first update, and return what it said."""
    Path("slow.yaml").write_text(to_yaml(replace(config, run_dir="here")))
    command = [sys.executable, "-m", "showonce", "run", "--config", "slow.yaml"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 400
        while not events(Path("here"), "update") and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=120)
    assert child.returncode == 130 and "Traceback" not in err, err
    return err


def test_an_interrupted_run_goes_on_by_its_own_config_and_counts_on(make: MakeConfig) -> None:
    learning = make().learning
    learning = replace(learning, gate=replace(learning.gate, alignment=-1.0))  # a random model sees nothing alike
    interrupted(make(task="app/dev/single/1", experiment=ExperimentConfig(episodes=1000), learning=learning))
    here = Path("here")
    done = len([e for e in events(here, "episode_finished") if e["phase"] in ("run", "probe")])
    updates, shown = metrics(here)["updates"]["accepted"], metrics(here)["demonstration"]
    app.record(make(name="later", task="app/dev/single/1", seed=9), oracle=True)  # must not become the run's own
    assert main(["run", "resume=here", f"experiment.episodes={done + 3}", "learning.gate.budget_run=1000"]) == 0
    assert {e["task"] for e in events(here, "episode_started")} == {"app/dev/single/1"}
    assert {e["name"] for e in events(here, "run_started")} == {"t"}
    last = events(here, "run_started")[-1]
    assert last["budget_run"] == 1000 and last["task"] == "app/dev/single/1"
    assert len([e for e in events(here, "episode_finished") if e["phase"] in ("run", "probe")]) >= done + 3
    numbers = [e["n"] for e in events(here, "update")]
    assert len(numbers) == metrics(here)["updates"]["accepted"] > updates, events(here, "gate")
    assert metrics(here)["demonstration"] == shown
    with AdapterStore("adapters", "here", readonly=True) as store:
        assert store.ledger.updates_run("here") == len(numbers)
    assert metrics(here)["updates"]["budget"] == 1000
    (record,) = [one for one in read_index("logs") if one.name == "here"]
    assert (record.task, record.updates) == ("app/dev/single/1", len(numbers))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("task=app/dev/single/2", "task=app/dev/single/0, not task=app/dev/single/2"),
        ("tasks=[app/dev/single/0,app/dev/single/1]", "tasks="),
        ("demonstration=none", "demonstration=auto, not demonstration=none"),
        ("environment=browser", "environment=embedded, not environment=browser"),
        ("environment.settings.theme=dark", "'theme': 'dark'"),
        ("adapter=mine", "adapter=auto, not adapter=mine"),
    ],
)
def test_a_run_is_not_resumed_as_another_one(
    make: MakeConfig, capsys: pytest.CaptureFixture[str], override: str, told: str
) -> None:
    run = start_run(make(run_dir="here"))
    assert main(["run", "resume=here", override]) == 2
    said = capsys.readouterr().err
    assert told in said and "leave resume out to begin a new run" in said
    assert not (run / "events.jsonl").exists() and not Path("adapters").exists()


def test_a_resumed_run_takes_no_other_config(make: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    start_run(make(run_dir="here"))
    assert main(["run", "--config", "demo", "resume=here"]) == 2
    assert "leave --config demo out" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="task=app/dev/single/0, not task=app/dev/single/1"):
        app.run(make(task="app/dev/single/1", resume="here"))


def test_a_demonstration_is_found_by_its_task_and_named(make: MakeConfig) -> None:
    app.record(make(name="shown", seed=5), oracle=True)
    (shown,) = Path("logs").glob("*-shown/episodes/*")
    app.run(make(experiment=ExperimentConfig(name="one_demo", eval_screens=1, retention_per_family=0),
                 learning=replace(make().learning, enabled=False)))  # fmt: skip
    assert metrics(the_run())["demonstration"] == {"path": str(shown.resolve()), "source": "oracle", "steps": 1}


# ------------------------------------------------------------------------------------------ stopping


def test_the_stop_file_stops_it_and_the_summary_is_written(make: MakeConfig) -> None:
    Path("here").mkdir()
    Path("here/STOP").touch()
    assert app.run(make(run_dir="here")) == 130
    assert events(Path("here"), "run_finished")[0]["reason"] == "stopped"
    assert "stopped" in Path("here/summary.md").read_text() and set(metrics(Path("here"))) >= KEYS
    assert read_index("logs")[0].status == "stopped"


def test_ctrl_c_ends_it_cleanly(make: MakeConfig) -> None:
    said = interrupted(make(experiment=ExperimentConfig(episodes=1000)))
    assert "stopping ... once more ends it at once" in said
    assert said.splitlines()[-1] == "showonce: stopped (Ctrl-C). Go on by: showonce run resume=here"
    assert "stopped" in Path("here/summary.md").read_text()
    assert events(Path("here"), "run_finished")[0]["reason"] == "stopped"
    AdapterStore("adapters", "here").close()  # the lock was given back


# ------------------------------------------------------------------------------------------ bad input


def test_a_learner_that_trains_needs_an_adapter(make: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="learning=frozen"):
        app.run(make(adapter="none"))
    assert not Path("logs").exists()


def test_an_adapter_that_is_not_there_is_named(make: MakeConfig) -> None:
    app.run(make(name="first", adapter="mine", experiment=ExperimentConfig(episodes=0)))
    with pytest.raises(StoreError, match="'mine'"):
        app.run(make(adapter="mien", learning=replace(make().learning, enabled=False)))
    assert nothing_was_made(1)


def nothing_was_made(runs: int = 0) -> bool:
    """Say whether no run folder, no adapter and no line of the index is there but for those of `runs` earlier ones."""
    folders = list(Path("logs").glob("*-*")), list(Path("adapters").glob("*"))
    return [len(found) for found in (*folders, read_index("logs"))] == [runs] * 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"demonstration": "nowhere/at-all"}, "nowhere"),
        ({"adapter": "nowhere/at-all"}, "there is no such folder"),
        ({"adapter": "./broken"}, "adapter_config.json"),
        ({"policy": PolicyConfig(checkpoint="nowhere")}, "nowhere"),
        ({"experiment": ExperimentConfig("one_demo"), "demonstration": "none"}, "showonce record"),
        ({"experiment": ExperimentConfig("one_demo"), "tasks": (TASK, "app/dev/single/1")}, "one task"),
    ],
)
def test_wrong_arguments_leave_nothing_behind(make: MakeConfig, changes: dict[str, Any], told: str) -> None:
    Path("broken").mkdir()
    Path("broken/adapter_model.safetensors").write_text("not one")
    with pytest.raises(ShowonceError, match=told):
        app.run(make(**changes))
    assert nothing_was_made()


def test_an_adapter_that_is_not_whole_or_in_use_leaves_nothing_behind(make: MakeConfig) -> None:
    frozen = replace(make().learning, enabled=False)
    app.run(make(name="first", adapter="mine", experiment=ExperimentConfig(episodes=0)))
    with AdapterStore("adapters", "mine") as store, pytest.raises(StoreError, match="in use by"):
        store.check_free()
        app.run(make(adapter="mine"))
    (file,) = Path("adapters/mine/versions/v0000").glob("adapter.safetensors")
    file.write_bytes(b"x" + file.read_bytes()[1:])
    for learning in (frozen, make().learning):
        with pytest.raises(CheckpointCorrupt):
            app.run(make(adapter="mine", learning=learning))
    assert nothing_was_made(1)


def test_latest_is_the_newest_run_that_began_and_a_status_is_one_word(
    make: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    frozen = replace(make().learning, enabled=False)
    app.run(make(name="first", learning=frozen, adapter="none", experiment=ExperimentConfig(episodes=1)))
    settings = EnvironmentConfig(settings={"nonsense": 1})
    with pytest.raises(ConfigError, match="nonsense"):
        app.run(make(name="second", learning=frozen, adapter="none", environment=settings))
    assert [record.status for record in read_index("logs")] == ["completed", "failed"]
    assert resolve_run("latest", "logs").name.endswith("-first")
    second = resolve_run("second", "logs")
    assert "nonsense" in (second / "summary.md").read_text() and events(second, "error")[0]["where"] == "input"
    assert main(["runs"]) == 0
    assert "nonsense" not in capsys.readouterr().out


def test_an_unknown_baseline_is_told_before_anything_is_done(make: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="replay_template"):
        app.run(make(experiment=ExperimentConfig(baselines=("replay_tempalte",))))
    assert not Path("logs").exists()


def test_a_demonstration_of_another_task_is_refused(make: MakeConfig) -> None:
    app.record(make(name="shown"), oracle=True)
    (shown,) = Path("logs").glob("*-shown/episodes/*")
    with pytest.raises(DemonstrationError, match="not 'app/dev/single/1'"):
        app.run(make(task="app/dev/single/1", demonstration=str(shown)))
    assert len(read_index("logs")) == 1 and not Path("adapters").exists()


def test_a_demonstration_from_the_evaluation_seeds_is_refused(make: MakeConfig) -> None:
    app.record(make(name="shown"), oracle=True)
    (shown,) = Path("logs").glob("*-shown/episodes/*")
    meta = json.loads((shown / "meta.json").read_text())
    (shown / "meta.json").write_text(json.dumps({**meta, "seed": 5_000_001}))
    with pytest.raises(DemonstrationError, match="seed 5000001"):
        app.run(make(demonstration=str(shown)))


def test_no_task_is_told(make: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="task is empty"):
        app.run(make(task=""))


def test_a_log_folder_that_cannot_be_written_is_told(make: MakeConfig) -> None:
    Path("logs").write_text("a file, not a folder")
    with pytest.raises(DiskError, match="logs"):
        app.run(make())


@pytest.mark.skipif(sys.platform == "win32", reason="files cannot be limited in size there")
def test_a_disk_that_takes_no_more_is_told_and_the_numbers_are_kept(make: MakeConfig) -> None:
    frozen = replace(make().learning, enabled=False)
    Path("full.yaml").write_text(to_yaml(make(run_dir="here", learning=frozen, adapter="none")))
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)); "
        "from showonce.cli import main; sys.exit(main(['run', '--config', 'full.yaml']))"
    )  # the picture of the run is larger
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "showonce: cannot write" in done.stderr and "learning_curve.png" in done.stderr
    assert set(metrics(Path("here"))) >= KEYS and read_index("logs")[0].status == "completed"


# ------------------------------------------------------------------------------------------ the other verbs


def test_record_stores_what_the_oracle_did_as_scripted(make: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.record(make(seed=4), oracle=True) == 0
    (path,) = Path("logs").glob("*-t/episodes/*")
    shown = load_demonstration(path)
    assert (shown.task_id, shown.source, len(shown.frames)) == (TASK, "oracle", 1)
    assert load_episode(path).seed == 4 and str(path) in capsys.readouterr().out.replace("\n", "")


def test_replay_does_it_again_and_names_the_first_difference(
    make: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    app.record(make(name="shown"), oracle=True)
    (path,) = Path("logs").glob("*-shown/episodes/*")
    config = make(task="", name="again", adapter="none")
    assert app.replay(path, "coordinates", replace(config, seed=app.AS_RECORDED)) == 0
    assert "No difference" in capsys.readouterr().out
    assert app.replay(path, "coordinates", replace(config, seed=app.AS_RECORDED), check=True) == 0
    capsys.readouterr()
    assert app.replay(path, "coordinates", replace(config, seed=9)) == 0
    said = capsys.readouterr().out
    assert "1 of 1 recorded actions were done" in said and "First difference at step 1, step: " in said
    assert ".." not in said.replace("\n", "")
    assert app.replay(path, "coordinates", replace(config, seed=9), check=True) == 1


def test_replay_of_a_task_of_ones_own_asks_for_its_file(make: MakeConfig) -> None:
    Path("mine.yaml").write_text("goal: click red circle\n")
    app.record(make(name="shown", task="mine.yaml"), oracle=True)
    (path,) = Path("logs").glob("*-shown/episodes/*")
    config = make(task="", name="again", seed=app.AS_RECORDED)
    with pytest.raises(DemonstrationError, match=r"task=FILE\.yaml"):
        app.replay(path, "coordinates", config)
    assert app.replay(path, "coordinates", replace(config, task="mine.yaml")) == 0


def test_replay_modes(make: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'template'"):
        app.replay(Path("x"), "templates", make())


def test_eval_scores_a_set_and_goes_on_in_its_folder(make: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = replace(make().evaluation, set="single", split="dev", apps=2, seeds=(0,), screens=2)
    config = make(evaluation=evaluation, adapter="none", run_dir="scores")
    assert app.evaluate(config) == 0
    rows = Path("scores/results.jsonl").read_text()
    assert len(rows.splitlines()) == 4 and "app/dev/single/1" in capsys.readouterr().out
    assert app.evaluate(config) == 0
    assert Path("scores/results.jsonl").read_text() == rows, "nothing is measured twice"


def test_prove_needs_a_run_that_learned(make: MakeConfig) -> None:
    app.run(make(learning=replace(make().learning, enabled=False), adapter="none"))
    with pytest.raises(BadInput, match="without an adapter"):
        app.prove(the_run(), make())

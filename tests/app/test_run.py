"""`run` on the toy model and the embedded world: what it leaves behind, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import TASK, MakeConfig
from tests.fakes import events_in
from tests.runs.test_metrics import KEYS
from tests.toys import lesson_config

from showonce.app.record import record
from showonce.app.run import run
from showonce.cli import main
from showonce.cli.codes import NOT_REACHED
from showonce.config import Config, ExperimentConfig, PolicyConfig, SuccessConfig
from showonce.errors import (
    CheckpointCorrupt,
    ConfigError,
    DemonstrationError,
    DiskError,
    ShowonceError,
    StoreError,
    TaskError,
)
from showonce.learning.adapter_store import AdapterStore
from showonce.runs.folder import start_run
from showonce.runs.index import read_index, resolve_run
from showonce.settings import load_config, to_yaml

IDLE = lesson_config(gate={"budget_run": 0})  # a run that may make no update


def the_run() -> Path:
    (found,) = Path("logs").glob("*-t")
    return found


def events(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    return [e for e in events_in(folder) if kind in (None, e["kind"])]


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def test_a_run_leaves_everything_a_reader_wants(make: MakeConfig) -> None:
    config = make()
    assert not run(config).stopped
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
    run(make(experiment=ExperimentConfig(episodes=6)))
    phases = [e["phase"] for e in events(the_run(), "episode_started") if e["phase"] != "demonstration"]
    assert phases == ["run", "run", "probe"] * 2
    assert metrics(the_run())["practice"]["distinct_screens"] == 4


def test_the_adapter_outlives_the_run(make: MakeConfig) -> None:
    run(make())
    folder = the_run()
    with AdapterStore("adapters", folder.name, readonly=True) as store:
        assert store.champion is not None and store.champion > "v0000"
        assert metrics(folder)["checkpoint"] == str(store.folder(store.champion))
        assert store.ledger.updates_run(folder.name) == metrics(folder)["updates"]["accepted"]


def test_an_adapter_by_name_is_learned_on_and_later_acts_alone(make: MakeConfig) -> None:
    run(make(name="first", adapter="mine"))
    run(make(name="second", adapter="mine"))
    with AdapterStore("adapters", "mine", readonly=True) as store:
        assert store.champion is not None and store.champion > "v0001"
        champion = store.champion
    frozen = replace(make().learning, enabled=False)
    assert not run(make(adapter="mine", learning=frozen)).stopped
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
    run(make(adapter="brought", experiment=ExperimentConfig(episodes=1), learning=IDLE))
    (first,) = events(the_run(), "checkpoint")
    assert first["hash"] == wanted


def test_without_learning_nothing_is_learned(make: MakeConfig) -> None:
    frozen = replace(make().learning, enabled=False)
    assert not run(make(learning=frozen, adapter="none")).stopped
    folder = the_run()
    assert not Path("adapters").exists() and metrics(folder)["checkpoint"] is None
    assert events(folder, "run_started")[0]["learner"] == "frozen" and not events(folder, "update")
    own = [event for event in events(folder, "episode_started") if event["phase"] == "run"]
    assert {event["adapter_version"] for event in own} == {"base"}


def test_in_context_keeps_the_demonstration_in_view(make: MakeConfig) -> None:
    assert not run(make(learning=replace(make().learning, learner="in_context"), adapter="none")).stopped
    assert metrics(the_run())["episodes"]["success"] + metrics(the_run())["episodes"]["failure"] == 3


def test_the_shadow_answers_and_is_never_executed(make: MakeConfig) -> None:
    run(make(learning=replace(make().learning, shadow_every=1)))
    shadows, steps = (events(the_run(), kind) for kind in ("shadow", "step"))
    played = [s for s in steps if s["executor"] == "student"]
    assert len(shadows) == len(played) > 0 and all(isinstance(s["agrees"], bool) for s in shadows)


def test_two_tasks_in_one_run(make: MakeConfig) -> None:
    run(make(task="", tasks=(TASK, "app/dev/single/1")))
    tasks = {e["task"] for e in events(the_run(), "episode_started") if e["phase"] == "run"}
    assert tasks == {TASK, "app/dev/single/1"}


def test_a_task_file_of_ones_own(make: MakeConfig) -> None:
    Path("mine.yaml").write_text("goal: click red circle\nenvironment: {name: embedded, settings: {theme: dark}}\n")
    assert not run(make(task="mine.yaml")).stopped
    assert events(the_run(), "run_started")[0]["goal"] == "click red circle"


def test_a_resumed_run_goes_on_with_episodes_and_budget(make: MakeConfig) -> None:
    config = make()
    run(config)
    folder = the_run()
    before = metrics(folder)["updates"]["accepted"]
    assert not run(replace(config, resume=str(folder), experiment=ExperimentConfig(episodes=5))).stopped
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
    record(make(name="later", task="app/dev/single/1", seed=9), oracle=True)  # must not become the run's own
    words = ["run", "resume=here", f"experiment.episodes={done + 3}", "learning.gate.budget_run=1000"]
    assert main(words) in (0, NOT_REACHED)
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
    (entry,) = [one for one in read_index("logs") if one.name == "here"]
    assert (entry.task, entry.updates) == ("app/dev/single/1", len(numbers))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("task=app/dev/single/2", "task=app/dev/single/0, not task=app/dev/single/2"),
        ("tasks=[app/dev/single/0,app/dev/single/1]", "tasks="),
        ("demonstration=none", "demonstration=auto, not demonstration=none"),
        ("environment=embedded", "environment=auto, not environment=embedded"),
        ("limits.max_steps=3", "limits.max_steps=12, not limits.max_steps=3"),
        ("success.url=*/x", "success.url='', not success.url=*/x"),
        ("environment.settings.theme=dark", "'theme': 'dark'"),
        ("adapter=mine", "adapter=auto, not adapter=mine"),
    ],
)
def test_a_run_is_not_resumed_as_another_one(
    make: MakeConfig, capsys: pytest.CaptureFixture[str], override: str, told: str
) -> None:
    folder = start_run(make(run_dir="here"))
    assert main(["run", "resume=here", override]) == 2
    said = capsys.readouterr().err
    assert told in said and "leave resume out to begin a new run" in said
    assert not (folder / "events.jsonl").exists() and not Path("adapters").exists()


def test_a_run_that_came_to_its_end_is_not_resumed(make: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    run(make(run_dir="logs/20260101-120000-mine", learning=IDLE, experiment=ExperimentConfig(episodes=1)))
    folder = Path("logs/20260101-120000-mine")
    before = (folder / "events.jsonl").read_bytes()
    for name in (str(folder), "20260101-120000-mine", "mine", "latest"):
        assert main(["run", f"resume={name}"]) == 2
        said = capsys.readouterr().err
        assert "20260101-120000-mine came to its end" in said and "larger experiment.episodes" in said
    assert (folder / "events.jsonl").read_bytes() == before
    start_run(make(run_dir="logs/20260102-120000-mine"))
    assert main(["run", "resume=mine"]) == 2
    assert "could be any of" in capsys.readouterr().err
    assert main(["run", "resume=20260101-120000-mine", "experiment.episodes=2"]) in (0, 4)
    assert len([one for one in events(folder, "episode_finished") if one["phase"] == "run"]) == 2


def test_a_resumed_run_takes_no_other_config(make: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    start_run(make(run_dir="here"))
    assert main(["run", "--config", "demo", "resume=here"]) == 2
    assert "leave --config demo out" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="task=app/dev/single/0, not task=app/dev/single/1"):
        run(make(task="app/dev/single/1", resume="here"))


def test_a_demonstration_is_found_by_its_task_and_named(make: MakeConfig) -> None:
    record(make(name="shown", seed=5), oracle=True)
    (shown,) = Path("logs").glob("*-shown/episodes/*")
    run(make(experiment=ExperimentConfig(name="one_demo", eval_screens=1, retention_per_family=0),
                 learning=replace(make().learning, enabled=False)))  # fmt: skip
    assert metrics(the_run())["demonstration"] == {"path": str(shown.resolve()), "source": "oracle", "steps": 1}


# ------------------------------------------------------------------------------------------ stopping


def test_the_stop_file_stops_it_and_the_summary_is_written(make: MakeConfig) -> None:
    Path("here").mkdir()
    Path("here/STOP").touch()
    assert run(make(run_dir="here")).stopped
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
        run(make(adapter="none"))
    assert not Path("logs").exists()


def test_an_adapter_that_is_not_there_is_named(make: MakeConfig) -> None:
    run(make(name="first", adapter="mine", experiment=ExperimentConfig(episodes=1), learning=IDLE))
    with pytest.raises(StoreError, match="'mine'"):
        run(make(adapter="mien", learning=replace(make().learning, enabled=False)))
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
        run(make(**changes))
    assert nothing_was_made()


def test_an_adapter_that_is_not_whole_or_in_use_leaves_nothing_behind(make: MakeConfig) -> None:
    frozen = replace(make().learning, enabled=False)
    run(make(name="first", adapter="mine", experiment=ExperimentConfig(episodes=1), learning=IDLE))
    with AdapterStore("adapters", "mine") as store, pytest.raises(StoreError, match="in use by"):
        store.check_free()
        run(make(adapter="mine"))
    (file,) = Path("adapters/mine/versions/v0000").glob("adapter.safetensors")
    file.write_bytes(b"x" + file.read_bytes()[1:])
    for learning in (frozen, make().learning):
        with pytest.raises(CheckpointCorrupt):
            run(make(adapter="mine", learning=learning))
    assert nothing_was_made(1)


def test_latest_is_the_newest_run_that_began_and_a_status_is_one_word(
    make: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    frozen = replace(make().learning, enabled=False)
    run(make(name="first", learning=frozen, adapter="none", experiment=ExperimentConfig(episodes=1)))
    with pytest.raises(TaskError, match="has no pages"):
        run(make(name="second", learning=frozen, adapter="none", success=SuccessConfig(url="*/thanks")))
    assert [record.status for record in read_index("logs")] == ["completed", "failed"]
    assert resolve_run("latest", "logs").name.endswith("-first")
    second = resolve_run("second", "logs")
    assert "has no pages" in (second / "summary.md").read_text() and events(second, "error")[0]["where"] == "input"
    assert main(["runs"]) == 0
    assert "has no pages" not in capsys.readouterr().out


def test_an_unknown_baseline_is_told_before_anything_is_done(make: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="replay_template"):
        run(make(experiment=ExperimentConfig(baselines=("replay_tempalte",))))
    assert not Path("logs").exists()


def test_a_demonstration_of_another_task_is_refused(make: MakeConfig) -> None:
    record(make(name="shown"), oracle=True)
    (shown,) = Path("logs").glob("*-shown/episodes/*")
    with pytest.raises(DemonstrationError, match="not 'app/dev/single/1'"):
        run(make(task="app/dev/single/1", demonstration=str(shown)))
    assert len(read_index("logs")) == 1 and not Path("adapters").exists()


def test_a_demonstration_from_the_evaluation_seeds_is_refused(make: MakeConfig) -> None:
    record(make(name="shown"), oracle=True)
    (shown,) = Path("logs").glob("*-shown/episodes/*")
    meta = json.loads((shown / "meta.json").read_text())
    (shown / "meta.json").write_text(json.dumps({**meta, "seed": 5_000_001}))
    with pytest.raises(DemonstrationError, match="seed 5000001"):
        run(make(demonstration=str(shown)))


@pytest.mark.parametrize("named", [True, False])
def test_an_incomplete_demonstration_is_refused_with_what_is_missing(make: MakeConfig, named: bool) -> None:
    record(make(name="shown"), oracle=True)
    (shown,) = Path("logs").glob("*-shown/episodes/*")
    meta = json.loads((shown / "meta.json").read_text())
    lost = [{"step": 1, "text": "a file was chosen in a dialog of the system"}]
    (shown / "meta.json").write_text(json.dumps({**meta, "lost": lost}))
    config = make(demonstration=str(shown) if named else "auto")
    with pytest.raises(DemonstrationError, match=r"after step 1: a file was chosen.*experiment\.incomplete=true"):
        run(config)
    assert not named or len(read_index("logs")) == 1, "one that is named is refused before anything is done"
    accepted = replace(config, experiment=replace(config.experiment, incomplete=True, episodes=1))
    run(replace(accepted, learning=replace(config.learning, enabled=False), adapter="none"))


def test_no_task_is_told(make: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="task is empty"):
        run(make(task=""))


def test_a_log_folder_that_cannot_be_written_is_told(make: MakeConfig) -> None:
    Path("logs").write_text("a file, not a folder")
    with pytest.raises(DiskError, match="logs"):
        run(make())


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

"""Configs: composed by hydra, checked against the dataclasses, every mistake blamed on the one who wrote it."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from showonce.about import shipped_names
from showonce.config import Config
from showonce.errors import ConfigError
from showonce.settings import load_config, to_yaml


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def refused(*arguments: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(*arguments)  # type: ignore[arg-type]
    return str(caught.value)


def test_an_empty_file_is_all_defaults(elsewhere: Path) -> None:
    assert load_config(write(elsewhere, "# nothing\n")) == Config()


def test_none_is_the_shipped_run() -> None:
    assert load_config() == load_config("run")


@pytest.mark.parametrize("name", ["demo", "demo.yaml", "configs/demo.yaml"])
def test_a_shipped_config_is_found_by_name_from_anywhere(elsewhere: Path, name: str) -> None:
    assert load_config(name).name == "demo"


def test_a_file_here_wins_over_a_shipped_name(elsewhere: Path) -> None:
    write(elsewhere, "name: own\n", "demo.yaml")
    assert load_config("demo.yaml").name == "own"
    assert load_config("demo").name == "demo"


def test_values_of_every_type(elsewhere: Path) -> None:
    config = load_config(
        write(elsewhere, "seed: 4\nlearning: {gate: {budget_run: 7}}\nenvironment: {settings: {theme: 3}}\n"),
        [
            "learning.sdft.lr=1e-3",
            "learning.sdft.betas=[0.5,0.6]",
            "tasks=[app/dev/single/0, b]",
            "deterministic=true",
            "adapter=none",
            "environment.settings.layout=5",
            "evaluation.seeds=[4]",
        ],
    )
    assert (config.seed, config.learning.gate.budget_run, config.learning.sdft.lr) == (4, 7, 0.001)
    assert config.learning.sdft.betas == (0.5, 0.6)
    assert config.tasks == ("app/dev/single/0", "b")
    assert config.deterministic is True
    assert config.adapter == "none"
    assert config.environment.settings == {"theme": 3, "layout": 5}
    assert config.evaluation.seeds == (4,)


@pytest.mark.parametrize("value", ["2026", "1e3", "true", "null", "/a b/(c)=d", "app/dev/single/0", "x,y", "[p"])
def test_the_value_of_a_text_key_is_taken_as_it_is_written(value: str) -> None:
    assert load_config(None, [f"run_dir={value}"]).run_dir == value


def test_quotes_of_an_override_are_removed() -> None:
    assert load_config(None, ['name="a b"']).name == "a b"


def test_later_overrides_win() -> None:
    assert load_config(None, ["seed=1", "seed=2"]).seed == 2


def test_interpolation(elsewhere: Path) -> None:
    file = write(elsewhere, "seed: 3\nlearning: {gate: {budget_run: '${seed}'}}\n")
    assert load_config(file, ["seed=9"]).learning.gate.budget_run == 9


def test_groups_by_override_whether_or_not_the_file_names_them(elsewhere: Path) -> None:
    bare = write(elsewhere, "seed: 1\n", "bare.yaml")
    named = write(
        elsewhere, "defaults:\n  - learning: sdft\n  - learning/fault: none\n  - _self_\nseed: 1\n", "named.yaml"
    )
    for file in (bare, named):
        config = load_config(file, ["learning=frozen", "learning/fault=lr_x100", "safety=step"])
        assert config.learning.learner == "frozen" and not config.learning.enabled
        assert config.learning.fault.kind == "lr_x100"
        assert config.safety.mode == "step"
        assert load_config(file, ["learning.fault=lr_x100"]).learning.fault.kind == "lr_x100"


def test_a_users_own_group_file_is_found_beside_the_config(elsewhere: Path) -> None:
    write(elsewhere, "learner: rft\ngate: {budget_run: 3}\n", "learning/mine.yaml")
    file = write(elsewhere, "defaults:\n  - learning: mine\n  - experiment: one_demo\n  - _self_\n")
    config = load_config(file)
    assert (config.learning.learner, config.learning.gate.budget_run) == ("rft", 3)
    assert config.experiment.name == "one_demo"


def test_the_files_own_values_win_over_its_groups(elsewhere: Path) -> None:
    text = "defaults:\n  - learning: frozen\n{}learning: {{learner: rft}}\n"
    assert load_config(write(elsewhere, text.format(""))).learning.learner == "rft"
    assert load_config(write(elsewhere, text.format("  - _self_\n"))).learning.learner == "rft"


def test_written_and_read_back_it_is_the_same(elsewhere: Path) -> None:
    config = load_config(
        "demo_fault", ["tasks=[a,b]", "environment.settings={drift: {theme: 1}}", "run_dir=x y", "name=2"]
    )
    assert load_config(write(elsewhere, to_yaml(config))) == config


def test_every_key_is_written(elsewhere: Path) -> None:
    text = to_yaml(Config())
    assert [line.split(":")[0] for line in text.splitlines() if not line.startswith((" ", "-"))] == [
        field.name for field in dataclasses.fields(Config)
    ]


def test_it_leaves_no_trace_and_stays_where_it_is(elsewhere: Path) -> None:
    file = write(elsewhere, "seed: 1\n")
    load_config(file, ["learning=frozen"])
    assert os.listdir(elsewhere) == ["mine.yaml"]
    assert Path.cwd() == elsewhere


def test_a_strange_folder_name_is_no_obstacle(elsewhere: Path) -> None:
    file = write(elsewhere, "defaults:\n  - learning: rft\n  - _self_\n", "it's, a [folder] =1/my config.yaml")
    assert load_config(file, ["learning/fault=none"]).learning.learner == "rft"


# ------------------------------------------------------------------------------------------ mistakes


def test_an_unknown_key_names_file_line_and_nearest_key(elsewhere: Path) -> None:
    file = write(elsewhere, "seed: 1\nlearning:\n  gate:\n    budgt_run: 3\n")
    assert refused(file) == f"{file}, line 4: unknown key 'budgt_run' in learning.gate. Did you mean 'budget_run'?"


def test_a_wrong_type_names_file_line_key_and_value(elsewhere: Path) -> None:
    file = write(elsewhere, "learning:\n  gate: {budget_run: ten}\n")
    assert refused(file) == f"{file}, line 2: learning.gate.budget_run must be a whole number, not 'ten'."


def test_a_mistake_in_a_group_file_is_blamed_on_that_file(elsewhere: Path) -> None:
    group = write(elsewhere, "learner: rft\n\nsdft: {lr: high}\n", "learning/mine.yaml")
    file = write(elsewhere, "defaults:\n  - learning: mine\n  - _self_\n")
    assert refused(file).startswith(f"{group}, line 3: learning.sdft.lr must be a number")


def test_a_value_out_of_range_is_blamed_too(elsewhere: Path) -> None:
    file = write(elsewhere, "inference:\n  device: gpu\n")
    assert refused(file).startswith(f"{file}, line 2: inference.device='gpu' is not a valid choice.")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("learning.gat.budget_run=3", "unknown key 'gat' in learning. Did you mean 'gate'?"),
        ("budget_run=3", "Did you mean 'learning.gate.budget_run'?"),
        ("sead=3", "Did you mean 'seed'?"),
        ("seed.x=3", "seed is a single value"),
        ("seed=high", "seed must be a whole number, not 'high'"),
        ("seed=1,2", "seed takes one value. For a run of each: showonce run -m seed=1,2."),
        ("learning.sdft.lr=0.01,0.03", "showonce compare set='learning.sdft.lr=[0.01,0.03]'"),
        ("evaluation.seeds=1,2", "as a list: evaluation.seeds=[1,2]"),
        ("+learning.order=0.7", "unknown key 'order' in learning"),
        ("given=[seed]", "showonce itself writes this key"),
        ("inference.device=gpu", "Did you mean 'cuda'?"),
        ("tasks=a", "tasks must be a list"),
        ("seed", "not of the form key=value"),
        ("=3", "not of the form key=value"),
        ("+seed=3", "'+' is not needed"),
        ("~seed", "'~' is not needed"),
        ("learning.gate.budget_run=[3", "cannot be read"),
        ("learning=frozn", "Did you mean 'frozen'?"),
        ("learning/fault=lrx100", "Did you mean 'lr_x100'?"),
        ("limits=high", "limits.max_steps"),
        ("lerning/fault=none", "Did you mean 'learning'?"),
        ("learning=3", "must be a section of keys"),
        ("hydra.run.dir=x", "unknown key 'hydra'"),
    ],
)
def test_a_wrong_override_is_quoted_with_what_would_be_right(override: str, words: str) -> None:
    text = refused(None, [override])
    assert text.startswith(f"override {override!r}")
    assert words in text


@pytest.mark.parametrize("text", ["a: [1\nb: 2\n", "a: 1\n b: 2\n", "a: 1\na: 2\n", "\ttab: 1\n"])
def test_what_is_not_yaml_names_file_and_line(elsewhere: Path, text: str) -> None:
    file = write(elsewhere, text)
    message = refused(file)
    assert message.startswith(f"{file}, line ") and "is not valid YAML" in message


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n"])
def test_yaml_that_is_no_mapping_is_refused(elsewhere: Path, text: str) -> None:
    file = write(elsewhere, text)
    assert refused(file).startswith(f"{file}: must hold `key: value` lines")


def test_bytes_that_are_no_text_are_refused(elsewhere: Path) -> None:
    file = elsewhere / "binary.yaml"
    file.write_bytes(b"name: \xff\xfe\n")
    assert refused(file).startswith(f"{file}: is not UTF-8 text")


def test_a_missing_file_lists_what_is_shipped(elsewhere: Path) -> None:
    text = refused("no/such/file.yaml")
    assert "no/such/file.yaml" in text
    assert all(name in text for name in shipped_names("configs"))
    assert "Did you mean 'demo'?" in refused("dmo")


def test_a_folder_and_a_wrong_ending_are_refused(elsewhere: Path) -> None:
    assert "is a folder" in refused(elsewhere)
    assert "must end in .yaml" in refused(write(elsewhere, "a: 1\n", "mine.yml"))


def test_a_default_that_is_not_there_names_the_choices(elsewhere: Path) -> None:
    file = write(elsewhere, "defaults:\n  - learning: frozn\n  - _self_\n")
    text = refused(file)
    assert text.startswith(str(file)) and "learning: frozn" in text and "Did you mean 'frozen'?" in text


def test_a_config_that_includes_itself_is_refused(elsewhere: Path) -> None:
    assert refused(write(elsewhere, "defaults:\n  - mine\n  - _self_\n")).startswith(str(elsewhere))


def test_a_reference_to_nothing_is_refused(elsewhere: Path) -> None:
    file = write(elsewhere, "name: a\nseed: ${sead}\n")
    text = refused(file)
    assert text.startswith(f"{file}, line 2") and "sead" in text


def test_keys_that_older_runs_wrote_and_nobody_reads_now_are_left_out(elsewhere: Path) -> None:
    text = "name: a\nevaluation:\n  screens: 7\n  parts: []\n  workers: 2\n  multi_updates: 200\n"
    file = write(elsewhere, text, "config.yaml")
    assert load_config(file).evaluation.screens == 7
    assert "line 4: unknown key 'parts' in evaluation" in refused(write(elsewhere, text)), "a file that a person writes"
    assert "multi_updates" in refused(file, ["evaluation.multi_updates=9"])


def test_configs_are_loaded_on_several_threads_at_once() -> None:
    """hydra composes through one object of the process; without a lock, threads see each other's."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: load_config("demo", [f"seed={seed}", "learning=sft_demo"]), range(24)))
    assert [config.seed for config in found] == list(range(24))
    assert {config.learning.learner for config in found} == {"sft_demo"}


def test_a_secret_is_named_with_its_source(tmp_path: Path) -> None:
    config = load_config(None, ["secret.password=env:CRM_PW", "secret.pin=keyring:crm/anna@example.org"])
    assert config.secret == {"password": "env:CRM_PW", "pin": "keyring:crm/anna@example.org"}
    (tmp_path / "own.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "own.yaml").secret == config.secret


@pytest.mark.parametrize(
    "override",
    ["secret.password=hunter2", "secret.password='hunter2'", "secret=hunter2", "secret={password:hunter2}", 
     "+secret.password=hunter2", "secrets.password=hunter2", "secret/password=hunter2", "secret.pass-word=hunter2",
     "secret.password=${oc.env:HOME}/hunter2", "secret.password=hun,ter2", "secret.password=[hunter2"],
)  # fmt: skip
def test_a_plain_secret_on_the_command_line_is_refused_and_not_repeated(override: str) -> None:
    with pytest.raises(ConfigError, match=r"env:VARIABLE, keyring:SERVICE/USER or prompt") as caught:
        load_config(None, [override])
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["secret: {password: hunter2}", "secret: hunter2", "secret: [hunter2]", "secret: {p: 7}"]
)
def test_a_plain_secret_in_a_file_is_refused_with_its_line_and_not_repeated(text: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(f"name: x\n{text}\n")
    with pytest.raises(ConfigError, match=r"own\.yaml, line 2: secret") as caught:
        load_config(tmp_path / "own.yaml")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("['css:#iban','iban']", r"record\.secrets\[1\]='iban' must be css:SELECTOR or region:"),
        ("['css:']", r"record\.secrets\[0\]='css:' must be css:SELECTOR"),
        ("['region:0.1,0.2,0.5']", r"record\.secrets\[0\].* four numbers"),
        (
            "['region:0,0,1,1','region:0.5,0.2,0.1,0.3']",
            r"record\.secrets\[1\].* must lie in \[0, 1\] and not be empty",
        ),
    ],
)
def test_places_of_secrets_are_checked_with_their_position(value: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load_config(None, [f"record.secrets={value}"])

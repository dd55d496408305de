"""Success without any demonstration, measured in a process of its own that never saw one.

    python -m showonce.evaluation.fresh MEASUREMENT.json REPORT.json

The process loads the frozen model and the adapter from their files; everything else it is given resolved, as a
`Measurement`. It refuses to give a number when a prompt held a demonstration, or when keys and values of one were kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from safetensors import SafetensorError

from showonce.config import AdapterConfig, Config
from showonce.environments.factory import EnvironmentFactory
from showonce.errors import BadInput, CheckpointCorrupt, ShowonceError
from showonce.evaluation.results import EvalResult, Results
from showonce.evaluation.runner import MakeEnvironment, evaluate_task
from showonce.fsio import atomic_write_json, explained
from showonce.inference.process import set_process
from showonce.policy.batched import WIDTH
from showonce.policy.families.base import Family
from showonce.policy.vlm_policy import VLMPolicy, find_checkpoint, load_policy
from showonce.protocols import CHAMPION, Context
from showonce.runtime.teaching import Tensors
from showonce.schema import build
from showonce.types import Frame, Observation, Task
from showonce.versions.store import RECORD

PEFT_CONFIG: Final = "adapter_config.json"
STORED: Final = "adapter.safetensors"  # the tensors of a checkpoint in an adapter store


@dataclass(frozen=True)
class Measurement:
    """What a new process measures, resolved: it reads no task file and decides nothing by itself.

    config: of the model, the engine and the kind of adapter. task: with the success check and the limits that hold.
    adapter: a PEFT folder, or a checkpoint folder of an adapter store; None = the frozen model. width: episodes at a
    time.
    """

    config: Config
    task: Task
    environment: EnvironmentFactory
    seeds: range
    adapter: Path | None
    width: int = WIDTH

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, from which `from_json` makes an equal one."""
        plain = {name: asdict(getattr(self, name)) for name in ("config", "task", "environment")}
        adapter = None if self.adapter is None else str(self.adapter)
        return {**plain, "seeds": [self.seeds.start, self.seeds.stop], "adapter": adapter, "width": self.width}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Measurement:
        """Return the measurement that `to_json` wrote. Raises SchemaError: a key or value is wrong."""
        return cls(
            build(Config, data["config"], "config"),
            build(Task, data["task"], "task"),
            build(EnvironmentFactory, data["environment"], "environment"),
            range(*data["seeds"]),
            None if data["adapter"] is None else Path(data["adapter"]),
            int(data["width"]),
        )


class NoDemonstration:
    """A prompt family that passes prompts on, and refuses every prompt that holds more than the current screen."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self.prompts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._family, name)

    def prompt(
        self, observation: Observation, context: Context, narrations: Sequence[str], form: str
    ) -> list[str | Observation]:
        """Return the student's prompt.

        Raises:
            ShowonceError: a demonstration was about to be shown.
        """
        parts = self._family.prompt(observation, context, narrations, form)
        frames = [part for part in parts if isinstance(part, Observation)]
        if context.demonstration is not None or narrations or len(frames) != 1 or frames[0] is not observation:
            raise ShowonceError("success without a demonstration was to be measured, and a prompt held one.")
        self.prompts += 1
        return parts

    def describe(self, frame: Frame) -> list[str | Observation] | None:
        """Raise ShowonceError: describing a frame means that a demonstration is being put into a prompt."""
        raise ShowonceError("success without a demonstration was to be measured, and a step of one was described.")


def measure(
    policy: VLMPolicy,
    make_env: MakeEnvironment,
    task: Task,
    seeds: Sequence[int],
    *,
    results: Results | None = None,
    **plan: Any,
) -> EvalResult:
    """Return the result of the acting adapter without any demonstration. Keywords as for `evaluate_task`.

    Raises:
        ShowonceError: a demonstration was in a prompt, or one is kept by this policy.
    """
    watch = NoDemonstration(policy.family)
    family, policy.family = policy.family, cast(Family, watch)
    try:
        result = evaluate_task(policy, make_env, task, seeds, results=results, **plan)
    finally:
        policy.family = family
    if policy.prefixes:
        raise ShowonceError(
            f"this process keeps {len(policy.prefixes)} demonstrations: measure `after` in a new process."
        )
    shown = [row for row in result.rows if "ShowonceError" in row.error]
    if shown:
        raise ShowonceError(shown[0].error)
    return result


def adapter_tensors(policy: VLMPolicy, folder: Path) -> Tensors:
    """Return the tensors of a PEFT folder, or of a checkpoint folder of an adapter store.

    Raises:
        BadInput: neither. CheckpointCorrupt: they cannot be read. StoreError: made for another base.
    """
    adapter = policy.adapter
    assert adapter is not None, "tensors are read for a policy with an adapter"
    if (folder / PEFT_CONFIG).is_file():
        return adapter.read(folder)[0]
    if not (folder / STORED).is_file():
        raise BadInput(f"{folder} holds neither {PEFT_CONFIG} nor {STORED}: give the folder of an adapter, or none.")
    with explained(folder / STORED, "read"):
        data = (folder / STORED).read_bytes()
    try:
        from safetensors.torch import load  # imports torch

        from showonce.inference.torch.adapter_files import rescaled

        tensors: Tensors = load(data)
    except SafetensorError as error:
        raise CheckpointCorrupt(f"{folder / STORED} is damaged ({error}): go back to another version.") from error
    return rescaled(tensors, _scale_of(folder), adapter.scale)


def _scale_of(folder: Path) -> float | None:
    """Return the LoRA scale with which a checkpoint of an adapter store was saved; None = it does not say."""
    if not (folder / RECORD).is_file():
        return None
    try:
        scale = json.loads((folder / RECORD).read_text(encoding="utf-8")).get("lora_scale")
    except (OSError, ValueError) as error:
        raise CheckpointCorrupt(f"{folder / RECORD} cannot be read ({error}): go back to another version.") from error
    return None if scale is None else float(scale)


def run_after(measurement: Measurement) -> dict[str, Any]:
    """Measure in a new process and return its report (see `report_of`).

    Raises:
        ShowonceError: it could not be measured; the text is the last line that process wrote.
    """
    with tempfile.TemporaryDirectory(prefix="showonce-after-") as root:
        order, out = Path(root) / "measurement.json", Path(root) / "report.json"
        atomic_write_json(order, measurement.to_json())
        command = [sys.executable, "-m", "showonce.evaluation.fresh", str(order), str(out)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0 or not out.is_file():
            said = (done.stderr or done.stdout).strip().splitlines()
            raise ShowonceError(f"measuring `after` in a new process failed: {said[-1] if said else 'it said nothing'}")
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found


def report_of(measurement: Measurement) -> dict[str, Any]:
    """Measure and return what is written: success, n, interval, outcomes, what was loaded and what was resolved."""
    begun, config, folder = time.monotonic(), measurement.config, measurement.adapter
    chosen = replace(config.policy, adapter=adapter_config(config.policy.adapter, folder))
    policy = load_policy(replace(config, policy=chosen, adapter="none" if folder is None else "auto"))
    made = "base"
    if folder is not None and policy.adapter is not None:
        policy.adapter.set_tensors(adapter_tensors(policy, folder), CHAMPION)
        made = policy.adapter.hash(CHAMPION)
    task, seeds = measurement.task, measurement.seeds
    make = partial(measurement.environment, task)
    result = measure(policy, make, task, seeds, width=measurement.width, arm="after", safety=config.safety)
    return {
        "task": task.id,
        "seeds": [seeds.start, seeds.stop],
        **result.phase,
        "outcomes": [int(outcome) for outcome in result.outcomes],
        "steps": [row.steps for row in result.rows],
        "rows": [row.to_json() for row in result.rows],
        "errors": result.errors,
        "resolved": {"task": asdict(task), "environment": asdict(measurement.environment)},
        "checkpoint": str(find_checkpoint(chosen.checkpoint)),
        "fingerprint": policy.engine.fingerprint,
        "adapter": "none" if folder is None else str(folder),
        "adapter_hash": made,
        "demonstrations": 0,
        "cached_prefixes": len(policy.prefixes),
        "process": os.getpid(),
        "seconds": time.monotonic() - begun,
    }


def adapter_config(config: AdapterConfig, folder: Path | None) -> AdapterConfig:
    """Return the kind and rank of adapter that a PEFT folder holds; the config's where it does not say."""
    if folder is None or not (folder / PEFT_CONFIG).is_file():
        return config
    try:
        held = json.loads((folder / PEFT_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointCorrupt(f"{folder / PEFT_CONFIG} cannot be read ({error}).") from error
    if held.get("peft_type") != "LORA":
        return replace(config, kind="tokens")
    kind = "lora_tokens" if held.get("trainable_token_indices") else "lora"
    kind = config.kind if config.kind != "tokens" and kind == "lora" else kind
    rank = max([held.get("r", config.rank), *(held.get("rank_pattern") or {}).values()])
    return replace(config, kind=kind, rank=int(rank), alpha=int(held.get("lora_alpha", 0)) or config.alpha)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the report and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m showonce.evaluation.fresh", description=__doc__.split("\n")[0])
    parser.add_argument("measurement", type=Path, help="JSON file with a Measurement")
    parser.add_argument("report", type=Path, help="JSON file to write")
    given = parser.parse_args(arguments)
    try:
        order = Measurement.from_json(json.loads(given.measurement.read_text(encoding="utf-8")))
        set_process(order.config.inference, order.config.deterministic, order.config.seed)
        atomic_write_json(given.report, report_of(order))
    except ShowonceError as error:
        print(f"showonce: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

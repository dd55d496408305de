"""Every setting of showonce as a frozen dataclass: the default lives here and nowhere else.

YAML files and overrides are checked against these classes by `showonce.settings` (hydra ends there); no behaviour
here beyond range checks. Units are in the names or the comments; fractions are in [0, 1].
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar

from showonce.errors import ConfigError, nearest
from showonce.schema import check_numbers
from showonce.secrets import check_source, places_of

T = TypeVar("T")
Workers = int | str  # 0 = in this process | a number of processes | ray; in a config also auto
AUTO, RAY = "auto", "ray"
LAST_SEED: Final = 2**31 - 1
AS_RECORDED: Final = -1  # the `seed` that stands for the recorded one; of `replay` alone

GUARDS: Final = (
    *("same_action", "unchanged", "done_without_evidence"),
    *("typing_into_nothing", "submit_forgotten", "click_outside"),
)
MEASURES: Final = ("reobserve", "retry", "undo", "ask")


def _one_of(key: str, value: str, *choices: str) -> None:
    if value not in choices:
        raise ConfigError(f"{key}={value!r} is not a valid choice.{nearest(value, choices)}")


def number(default: T, low: float, high: float) -> T:
    """Declare a field that holds a number, or a tuple of numbers, in a range; both ends are included."""
    found: Any = dataclasses.field(default=default, metadata={"range": (low, high)})
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Section:
    """A part of the config. at: its dotted name, for errors. Raises ConfigError: a number is out of its range."""

    at: ClassVar[str] = ""

    def __init_subclass__(cls, at: str = "") -> None:
        cls.at = at

    def __post_init__(self) -> None:
        check_numbers(self, self.at)


@dataclass(frozen=True)
class EnvironmentConfig(Section, at="environment"):
    """Which screen, and its own settings. See `environments.factory` for what wins over what."""

    name: str = "auto"  # auto (the task's own, else embedded) | a name | module:Class
    settings: dict[str, Any] = field(default_factory=dict)
    shipped: dict[str, Any] = field(default_factory=dict)  # settings of tasks that ship (site/..., miniwob/...) alone


@dataclass(frozen=True)
class InferenceConfig(Section, at="inference"):
    """Which engine answers. Only torch trains."""

    backend: str = "torch"  # torch | the name of an installed engine | module:Class
    device: str = "cpu"  # cpu | cuda | mps | auto
    dtype: str = "float32"  # float32 | bfloat16 | float16
    threads: int = number(1, 0, 1024)  # torch intra-op threads: the embedded model is fastest on one; 0 = all cores
    max_new_tokens: int = number(96, 1, 65536)
    feature_cache: int = number(512, 0, 1000000)  # frames whose vision features are kept
    grammar: bool = True  # constrain decoding to the dialect's grammar, forced tokens in one chunk

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("inference.dtype", self.dtype, "float32", "bfloat16", "float16")
        if self.device == "gpu":
            raise ConfigError("inference.device='gpu' is not a valid choice. Did you mean 'cuda'? (On a Mac: 'mps'.)")
        _one_of("inference.device", self.device, "cpu", "cuda", "mps", "auto")


@dataclass(frozen=True)
class AdapterConfig(Section, at="policy.adapter"):
    """The trainable part over the frozen backbone (PEFT)."""

    kind: str = "tokens"  # tokens | lora | lora_tokens
    rank: int = number(8, 1, 1024)
    alpha: int = number(16, 1, 65536)
    dropout: float = number(0.0, 0, 0.99)
    targets: str = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("policy.adapter.kind", self.kind, "tokens", "lora", "lora_tokens")


@dataclass(frozen=True)
class PolicyConfig(Section, at="policy"):
    """The model, how it is spoken to and what its teacher is shown."""

    checkpoint: str = "tiny"  # a shipped name or a folder of Hugging Face files
    family: str = "auto"  # model family; auto = recognised by the checkpoint's config.json | module:Class
    dialect: str = "auto"  # how actions are written: native | module:Class; auto = the family's own
    unit: str = "auto"  # of coordinates in answers: fraction | thousand | pixel (of the image as the model sees it)
    teacher_context: str = "demonstration"  # demonstration | highlight | both
    demonstration_form: str = "frames_narrated"  # narrated | frames | frames_narrated
    demonstration_window: str = "aligned"  # aligned = only the step that is due | all = every demonstrated step
    narrate: str = (
        "model"  # model = the frozen model describes each demonstrated step | note = notes as recorded | none
    )
    adapter: AdapterConfig = field(default_factory=AdapterConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("policy.teacher_context", self.teacher_context, "demonstration", "highlight", "both")
        _one_of("policy.demonstration_form", self.demonstration_form, "narrated", "frames", "frames_narrated")
        _one_of("policy.demonstration_window", self.demonstration_window, "aligned", "all")
        _one_of("policy.unit", self.unit, "auto", "fraction", "thousand", "pixel")
        _one_of("policy.narrate", self.narrate, "model", "note", "none")


@dataclass(frozen=True)
class SDFTConfig(Section, at="learning.sdft"):
    """Self-distillation fine-tuning (arXiv 2601.19897)."""

    divergence: str = "forward_kl"  # forward_kl | reverse_kl | jsd
    jsd_beta: float = number(0.5, 0.001, 0.999)
    vocabulary: str = "full"  # full | topk (with a tail bucket)
    topk: int = number(32, 1, 1000000)
    teacher: str = "base"  # base (adapter off) | ema | live
    ema_decay: float = number(0.95, 0, 1)
    on_policy: float = number(
        0.5, 0, 1
    )  # share of screens that the student answers itself; on the others the teacher does
    temperature: float = number(1.0, 0, 100)  # of these answers
    lr: float = number(0.03, 0, 100)  # of token rows
    lora_lr: float = number(0.002, 0, 100)  # of LoRA matrices
    betas: tuple[float, float] = number((0.9, 0.98), 0, 0.999999)
    grad_clip: float = number(1.0, 0, 1e9)
    batch_size: int = number(16, 1, 4096)
    anchor_kl: float = number(
        0.0, 0, 1e6
    )  # weight of KL(base || student) on old prompts, and under other goals on the screens at hand
    replay: float = number(0.0, 0, 1)  # share of the batch taken from earlier lessons
    confidence_weight: float = number(
        1.0, 0, 1e6
    )  # weight of the confidence target; 0 = leave the confidence field alone
    confidence_smoothing: float = number(2.0, 0, 1e6)  # pseudo-counts pulling the target to the prior

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("learning.sdft.divergence", self.divergence, "forward_kl", "reverse_kl", "jsd")
        _one_of("learning.sdft.vocabulary", self.vocabulary, "full", "topk")
        _one_of("learning.sdft.teacher", self.teacher, "base", "ema", "live")


@dataclass(frozen=True)
class PracticeConfig(Section, at="learning.practice"):
    """Where the screens come from."""

    source: str = "practice"  # practice | episodes | head | mixed
    episodes: int = number(40, 0, 1_000_000)  # practice episodes at most
    teacher_beta: float = number(1.0, 0, 1)  # probability that the teacher executes, at the start
    teacher_beta_end: float = number(0.0, 0, 1)  # and at the end; falls linearly
    head_views: int = number(64, 0, 100_000)  # jittered views in practice in the head
    buffer: int = number(512, 1, 1_000_000)  # recent screens kept
    seed_offset: int = number(
        1_000_000, 10_000, LAST_SEED
    )  # practice seeds start here: disjoint from demonstration and evaluation seeds

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("learning.practice.source", self.source, "practice", "episodes", "head", "mixed")


@dataclass(frozen=True)
class GateConfig(Section, at="learning.gate"):
    """Whether one update happens. Two routes, shown and earned; budget, cool-down, headroom and KL bind both."""

    enabled: bool = True
    confidence: str = "token"  # which confidence the gate reads: stated | token | calibrated
    teacher_threshold: float = number(0.5, 0, 1)  # shown: the teacher's confidence must exceed it
    student_threshold: float = number(0.5, 0, 1)  # earned: the student's confidence must exceed it
    min_difference: float = number(
        0.0, 0, 1e9
    )  # shown: teacher and student must differ by more than this KL (nats) on decision tokens
    alignment: float = number(
        0.0, -1, 1
    )  # shown: least cosine similarity of vision features of the screen and a demonstrated frame
    budget_run: int = number(60, 0, 1_000_000)  # updates allowed in one run
    budget_task: int = number(240, 0, 1_000_000)  # updates allowed for one task, over all runs of the adapter
    cooldown: int = number(0, 0, 1_000_000)  # episodes that must pass between two updates
    headroom: float = number(0.02, 0, 1)  # stop updating once success on probes is within this of 1.0 (0 = never stop)
    kl_limit: float = number(5.0, 0, 1e9)  # nats per decision token from the champion, on canary screens
    updates_per_episode: int = number(2, 0, 1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("learning.gate.confidence", self.confidence, "stated", "token", "calibrated")


@dataclass(frozen=True)
class RatchetConfig(Section, at="learning.ratchet"):
    """Champion, candidate, canaries, probes, checkpoints and the drop test."""

    probe_every: int = number(
        5, 1, 1_000_000
    )  # every m-th episode is a probe; in practice, a round of probes follows every m-th episode
    probe_batch: int = number(5, 1, 10_000)  # probes in such a round
    promote_every: int = number(10, 1, 1_000_000)  # updates between two promotion decisions
    canary_screens: int = number(64, 0, 10_000)
    canary_max_drop: float = number(0.05, -1, 2)  # old skills and lessons: largest tolerated loss of agreement
    canary_max_kl: float = number(1.0, 0, 1e9)  # nats, on old-skill screens
    canary_max_nats: float = number(
        0.25, 0, 1e9
    )  # largest tolerated loss of log-probability of known answers (mean, nats per answer)
    keep_last: int = number(3, 0, 10_000)
    drop_test: str = "cusum"  # cusum | beta_binomial | window
    false_alarm_rate: float = number(0.05, 1e-6, 0.5)  # stated, over `horizon` probes
    horizon: int = number(200, 1, 100_000)
    p0_window: int = number(20, 1, 100_000)  # probes after promotion from which p0 is estimated
    drop: float = number(0.3, 0, 1)  # the loss that the test is tuned to see
    min_probes_best: int = number(
        20, 0, 100_000
    )  # best = highest lower 90 % bound among checkpoints with at least this many

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("learning.ratchet.drop_test", self.drop_test, "cusum", "beta_binomial", "window")


@dataclass(frozen=True)
class FaultConfig(Section, at="learning.fault"):
    """Deliberate damage, to see it found and undone."""

    kind: str = "none"  # none | wrong_demonstration | inverted_loss | lr_x100 | corrupt_checkpoint
    after_update: int = number(0, 0, 1_000_000)  # injected once this many updates were accepted and probes are good

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of(
            "learning.fault.kind", self.kind,
            "none", "wrong_demonstration", "inverted_loss", "lr_x100", "corrupt_checkpoint",
        )  # fmt: skip


@dataclass(frozen=True)
class LearningConfig(Section, at="learning"):
    """Learning while running."""

    enabled: bool = True
    learner: str = "sdft"  # sdft | sft_demo | sft_teacher | rft | in_context | frozen | an entry point | module:Class
    options: dict[str, Any] = field(default_factory=dict)  # of a learner of one's own: the fields of its `Options`
    sdft: SDFTConfig = field(default_factory=SDFTConfig)
    practice: PracticeConfig = field(default_factory=PracticeConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    ratchet: RatchetConfig = field(default_factory=RatchetConfig)
    fault: FaultConfig = field(default_factory=FaultConfig)
    shadow_every: int = number(0, 0, 1_000_000)  # every n-th step the frozen policy answers too (0 = never)

    def taught_by(self, learner: str) -> LearningConfig:
        """Return these settings for another learner: with the defaults of its own options."""
        return self if learner == self.learner else dataclasses.replace(self, learner=learner, options={})


@dataclass(frozen=True)
class LimitsConfig(Section, at="limits"):
    """Limits of one episode (see types.Limits) and the guards that may be switched off."""

    max_steps: int = number(12, 1, 100_000)
    max_seconds: float = number(120.0, 0.0, 1e7)
    step_seconds: float = number(0.0, 0, 1e7)
    max_parse_failures: int = number(2, 0, 100_000)
    same_action: int = number(3, 0, 100_000)
    unchanged: int = number(4, 0, 100_000)


@dataclass(frozen=True)
class SuccessConfig(Section, at="success"):
    """A success check in place of the task's own; at most one. See `runtime.completion` for what each looks for."""

    url: str = ""
    text: str = ""
    selector: str = ""
    file: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in ("url", "text", "selector", "file") if getattr(self, name)]
        if len(given) > 1:
            raise ConfigError(f"success.{given[0]} and success.{given[1]} are both set: only one check can decide.")


@dataclass(frozen=True)
class RecoveryConfig(Section, at="safety.recovery"):
    """What is tried when the environment refused an action or a guard fired. Without measures, a guard ends it."""

    measures: tuple[str, ...] = ()  # in this order: reobserve | retry | undo | ask
    retries: int = number(
        2, 0, 1000
    )  # how often `retry` may be tried for one trouble; every other measure is tried once
    backoff_seconds: float = number(0.5, 0, 60)  # waited before the first retry, doubled before each further one
    per_episode: int = number(6, 0, 10_000)  # measures at most

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.measures:
            _one_of("safety.recovery.measures", name, *MEASURES)


@dataclass(frozen=True)
class SafetyConfig(Section, at="safety"):
    """What may be done on the screen, and when a person is asked. Globs are shell patterns, `*` for anything.

    A rule that needs a fact which the environment does not give (an address, a title, the words at a point)
    refuses or asks.
    """

    mode: str = "free"  # watch (never acts) | step (asks before every action) | confident (asks when unsure) | free
    ask: str = "console"  # who is asked: console | window | nobody (then the answer is no)
    confidence: str = "token"  # mode=confident: which confidence is read: stated | token | calibrated
    threshold: float = number(0.8, 0, 1)  # mode=confident: below it a person is asked
    region: tuple[float, float, float, float] = number(
        (0.0, 0.0, 1.0, 1.0), 0, 1
    )  # left, top, right, bottom: nothing outside
    urls: tuple[str, ...] = ()  # globs of allowed pages, [scheme://]host[/path]; empty = all
    titles: tuple[str, ...] = ()  # globs of allowed window titles
    applications: tuple[str, ...] = ()  # globs of allowed applications
    ask_words: tuple[str, ...] = ()  # in every mode: looked for in typed text, at the point, in the goal; * = letters
    ask_regions: tuple[tuple[float, float, float, float], ...] = number((), 0, 1)  # where a person is always asked
    actions_per_second: float = number(0.0, 0, 1000)  # faster ones wait (0 = no limit)
    max_actions: int = number(0, 0, 1_000_000_000)  # of one run (0 = no limit)
    guards: tuple[str, ...] = ("same_action", "unchanged", "done_without_evidence")  # those that are on, of GUARDS
    submit_words: tuple[str, ...] = ("submit", "send", "ok", "save", "search", "go", "sign in", "log in", "login")
    secret_origins: tuple[str, ...] = ()  # [NAME@]ORIGIN: where secrets may be typed beside where they were recorded
    look_again: int = number(0, 0, 100)  # before a click: move there and look again, at most so often (0 = at once)
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("safety.mode", self.mode, "watch", "step", "confident", "free")
        _one_of("safety.ask", self.ask, "console", "window", "nobody")
        _one_of("safety.confidence", self.confidence, "stated", "token", "calibrated")
        for name in self.guards:
            _one_of("safety.guards", name, *GUARDS)
        for key, (left, top, right, bottom) in (
            ("safety.region", self.region),
            *(("safety.ask_regions", region) for region in self.ask_regions),
        ):
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                raise ConfigError(f"{key}: left, top, right, bottom must lie in [0, 1] and not be empty.")

    @property
    def unattended(self) -> bool:
        """Whether actions are executed and no rule ever asks a person."""
        return self.mode == "free" and not (self.ask_words or self.ask_regions)

    @property
    def fenced(self) -> bool:
        """Whether some actions are refused for where they go."""
        return bool(self.urls or self.titles or self.applications) or self.region != (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class ExperimentConfig(Section, at="experiment"):
    """The phases of `run`. name: tasks (just run them) | one_demo (before, teacher, learn, after)."""

    name: str = "tasks"
    episodes: int = number(10, 1, 1_000_000)  # episodes per task for name=tasks
    eval_screens: int = number(100, 1, 10_000)  # screens of before, teacher and after
    retention_per_family: int = number(20, 0, 10_000)
    baselines: tuple[str, ...] = ()  # e.g. replay_coordinates, replay_template, sft_demo
    eval_seed_offset: int = number(5_000_000, 30_000, 2_000_000_000)
    incomplete: bool = False  # accept a demonstration that does not hold everything that was done in it

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("experiment.name", self.name, "tasks", "one_demo")


@dataclass(frozen=True)
class DashboardConfig(Section, at="dashboard"):
    """The console dashboard. mode: auto (a live screen in a terminal, else plain lines) | live | plain | off."""

    mode: str = "auto"
    refresh_per_second: float = number(4.0, 0.2, 30)

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("dashboard.mode", self.mode, "auto", "live", "plain", "off")


@dataclass(frozen=True)
class OutputConfig(Section, at="output"):
    """Folders for what a run writes, and the trackers that its numbers are sent to."""

    logs: str = "logs"
    adapters: str = "adapters"
    save_frames: bool = True
    trackers: tuple[str, ...] = ()  # tensorboard | wandb (extra: showonce[track])


@dataclass(frozen=True)
class RecordConfig(Section, at="record"):
    """`record` on a real screen: the recorder's own keys, and `demonstrations.reduce.GestureLimits`."""

    end: str = "ctrl+f10"
    pause: str = "ctrl+f8"  # and go on
    redo: str = "ctrl+f9"  # discard what was recorded and begin again
    check: str = "ctrl+f7"  # the text under the pointer must be there
    secret: str = "ctrl+f6"  # what is typed is a secret, until it is pressed again
    double_seconds: float = number(0.45, 0, 10)
    near: float = number(4.0, 0, 1000)  # pixels of the frame
    scroll_seconds: float = number(1.0, 0, 60)
    wait_seconds: float = number(2.0, 0, 3600)
    secrets: tuple[str, ...] = ()  # css:SELECTOR | region:LEFT,TOP,RIGHT,BOTTOM: fields for secrets beside those found

    def __post_init__(self) -> None:
        super().__post_init__()
        places_of(self.secrets)


@dataclass(frozen=True)
class ReplayConfig(Section, at="replay"):
    """`replay`: how a recording is done again."""

    longer: float = number(
        10.0, 0, 3600
    )  # seconds that a target, or what a recorded wait was for, may come later than then
    stop_when_changed: bool = True  # mode coordinates: stop in doubt where a real screen is not as it was recorded


@dataclass(frozen=True)
class DoConfig(Section, at="do"):
    """`do`: a recorded task done once a row, and what is kept of it."""

    unverified: bool = False  # do a task that nothing verifies; it ends with exit code 4
    batch: str = ""  # the same data under another name (a month, a day) is other work, done once under each
    wait_seconds: float = number(0.0, 0, 1e6)  # for another command that does the same task
    pictures: str = "decisive"  # kept of a row that was done: decisive (before and after what was sent) | all
    keep_days: float = number(90.0, 0, 36_500)  # then a receipt's pictures are removed; the receipt stays (0 = never)

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("do.pictures", self.pictures, "decisive", "all")


@dataclass(frozen=True)
class EvaluationConfig(Section, at="evaluation"):
    """`eval`: which task sets, how many apps, seeds and screens."""

    set: str = "skills"  # skills | single | multi | hard
    split: str = "test"
    apps: int = number(20, 0, 10_000)
    seeds: tuple[int, ...] = number((0, 1, 2), 0, LAST_SEED)
    screens: int = number(200, 1, 10_000)
    per_family: int = number(400, 1, 10_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("evaluation.split", self.split, "train", "dev", "test")


@dataclass(frozen=True)
class RayConfig(Section, at="ray"):
    """Where jobs go under workers=ray."""

    address: str = ""  # HOST:PORT | auto (a Ray that runs here); "" = $RAY_ADDRESS, else a new one
    storage: str = ""  # folder or URL (s3://BUCKET/PATH) that all nodes reach; "" = the run's folder, which is shared


@dataclass(frozen=True)
class CompareConfig(Section, at="compare"):
    """`compare`: every learner is taught every task under every seed and every combination of settings."""

    learners: tuple[str, ...] = ()  # as of learning.learner; empty = that one alone
    tasks: tuple[str, ...] = ()  # ids, task files, names of task sets; app/dev/single/0-4 = five ids; empty = task
    seeds: tuple[int, ...] = number((), 0, LAST_SEED)  # empty = seed
    set: dict[str, Any] = field(default_factory=dict)  # dotted key -> list of values


@dataclass(frozen=True)
class Config(Section):
    """One run, resolved."""

    name: str = "run"
    given: tuple[str, ...] = ()  # keys that the command line set: they win over a task file; written by showonce
    seed: int = number(0, AS_RECORDED, LAST_SEED)
    deterministic: bool = False
    task: str = ""  # a registered id (e.g. app/dev/single/0), or a task file
    tasks: tuple[str, ...] = ()
    demonstration: str = "auto"  # auto (found by task) | none | a folder
    adapter: str = "auto"  # auto (fresh, named after the run) | none | a name in the store | a path
    resume: str = ""
    run_dir: str = ""
    workers: int | str = number(AUTO, 0, 1024)  # auto (the verb's own) | 0 (this process) | how many processes | ray
    ray: RayConfig = field(default_factory=RayConfig)
    environment: EnvironmentConfig = field(default_factory=EnvironmentConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    learning: LearningConfig = field(default_factory=LearningConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    success: SuccessConfig = field(default_factory=SuccessConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    experiment: ExperimentConfig = field(default_factory=ExperimentConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    compare: CompareConfig = field(default_factory=CompareConfig)
    dashboard: DashboardConfig = field(default_factory=DashboardConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    record: RecordConfig = field(default_factory=RecordConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    do: DoConfig = field(default_factory=DoConfig)
    secret: dict[str, Any] = field(default_factory=dict)  # name -> env:VARIABLE | keyring:SERVICE/USER | prompt

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.workers, str):
            _one_of("workers", self.workers, AUTO, RAY)
        for name, source in self.secret.items():
            check_source(f"secret.{name}", source)

"""The verb `do`: a recorded task is done once, or once for each row of a table, with other data; success is verified.

One attempt a row, never more. A row whose data may have been sent is not done again until a person says what came of it
(`runs.receipts`). Each attempt leaves a receipt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from showonce.about import __version__
from showonce.actions import Click, Key, TripleClick
from showonce.app.frontend import Frontend
from showonce.app.plan import Plan, make_plan
from showonce.app.run_writer import RunWriter
from showonce.app.tasks import task_named, task_of_episode
from showonce.config import Config
from showonce.demonstrations import latest_demonstration, load_demonstration, load_episode, read_meta
from showonce.demonstrations.binding import bind, resolve, row_key
from showonce.demonstrations.format import META, in_sentences
from showonce.demonstrations.sheet import in_words
from showonce.demonstrations.table import Row, Table, open_table
from showonce.demonstrations.values import Value, load_values
from showonce.environments.wrappers.secret import needs_of
from showonce.errors import BadInput, ConfigError, DemonstrationError, ShowonceError, nearest
from showonce.protocols import Approver, Environment
from showonce.runs.folder import start_run
from showonce.runs.layout import RECEIPTS
from showonce.runs.receipts import Entry, Ledger, Picture, Receipt, RowState, write_receipt
from showonce.runtime.approvals import Person, person_of
from showonce.runtime.decisive import Decisive, closing_checks
from showonce.runtime.repairs import with_repairs
from showonce.runtime.replay import ReplayReport, replay_episode
from showonce.runtime.safety import find_word
from showonce.secrets import mentions
from showonce.types import Demonstration, Episode, StopReason, Task

MOST_FAILED: Final = 3  # rows in a row that broke or ended in doubt: the rest would, too
SIGN_IN: Final = ("sign in", "log in", "login", "log on", "anmelden", "einloggen", "se connecter")
LAST_PICTURES: Final = 3  # decisive steps whose pictures are kept, at most: the first one and the last ones


class Verdict(StrEnum):
    """What came of a row, as a table and a receipt spell it."""

    DONE = "done"
    NOT_REACHED = "not reached"
    IN_DOUBT = "in doubt"
    BROKE = "broke"
    BAD = "bad input"
    STOPPED = "stopped"
    NOT_TRIED = "not tried"


CODES: Final = {  # exit code by verdict, the worst last: a table ends with the worst of its rows
    Verdict.DONE: 0, Verdict.NOT_REACHED: 4, Verdict.IN_DOUBT: 5, Verdict.BAD: 2, Verdict.BROKE: 3,
    Verdict.STOPPED: 130, Verdict.NOT_TRIED: 130,
}  # fmt: skip


@dataclass(frozen=True)
class RowResult:
    """What came of one row. row: its number in the table, None without one. already: it was done by an earlier command.

    receipt: folder of its receipt, "" where nothing was tried.
    """

    row: int | None
    key: str
    values: dict[str, str]
    verdict: Verdict
    why: str
    already: bool = False
    receipt: str = ""
    seconds: float = 0.0

    @property
    def code(self) -> int:
        return CODES[self.verdict]


@dataclass(frozen=True)
class DoReport:
    """What came of a command. folder: of its run, None where no row was tried."""

    task: str
    results: tuple[RowResult, ...]
    folder: Path | None = None
    stopped: str = ""

    @property
    def code(self) -> int:
        """Exit code: that of the worst row, in the order of `CODES`."""
        order = [*CODES]
        tried = (one.code for one in self.results if self.stopped or one.verdict is not Verdict.NOT_TRIED)
        return max(tried, key=[CODES[v] for v in order].index, default=0)


@dataclass(frozen=True)
class Chore:
    """A recording with its task and values. path: the episode's folder."""

    path: Path
    task: Task
    values: tuple[Value, ...]
    shown: Demonstration
    recorded: Episode

    @property
    def parameters(self) -> tuple[Value, ...]:
        """The values that a person may give."""
        return tuple(value for value in self.values if value.kind in ("parameter", "computed"))


def find_chore(what: str, logs: str | Path, tell: Callable[[str], None] = lambda text: None) -> Chore:
    """Return the recording that a word names: an episode's folder, or the newest one of a task or a task file.

    Raises:
        DemonstrationError: there is none, or it cannot be used. TaskError: no such task.
    """
    path = Path(what).expanduser()
    if (path / META).is_file():
        task = task_of_episode(path)
    else:
        task = task_named(what)
        found = latest_demonstration(logs, task.id, tell=tell)
        if found is None:
            raise DemonstrationError(
                f"there is no recording of {task.id!r} under {Path(logs).absolute()}: show it once with "
                f"`showonce record task={what}`, or give the folder of an episode.",
                key="demonstration.none",
            )
        path = found
    recorded = load_episode(path)
    if recorded.task_id != task.id:
        raise DemonstrationError(f"{path} is an episode of task {recorded.task_id!r}, not of {task.id!r}.")
    return Chore(path, task, load_values(path), with_repairs(load_demonstration(path), path), recorded)


def split_words(words: Sequence[str], chore: Chore, keys: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Part ``name=text`` for values of the recording from ``key=value`` for the config. keys: top keys of a config.

    A name that the recording has is a value's; ``set.NAME=`` is one in any case.

    Raises:
        ConfigError: neither a value nor a key (nearest of both named), or a name twice.
    """
    names = [value.name for value in chore.values]
    given: dict[str, str] = {}
    rest = []
    for word in words:
        name, _, text = word.partition("=")
        own = name.removeprefix("set.") if name.startswith("set.") else name if name in names else ""
        if own:
            if own in given:
                raise ConfigError(f"{own}= is given twice.", key="values.twice")
            given[own] = text
        elif name.split(".")[0].split("/")[0].lstrip("+~") in keys:
            rest.append(word)
        else:
            free = [value.name for value in chore.parameters]
            known = f" It has {', '.join(free)}." if free else " It has none: `showonce parameters EPISODE` names them."
            raise ConfigError(
                f"{name}= is neither a value of the recording {chore.path} nor a key of the config."
                f"{nearest(name, [*free, *keys])}{known}",
                key="values.name",
            )
    return given, rest


def do(
    chore: Chore,
    given: Mapping[str, str],
    config: Config,
    frontend: Frontend | None = None,
    *,
    rows: str | Path | None = None,
    again: bool = False,
    nobody: bool = False,
    told: Callable[[RowResult, int], None] = lambda result, total: None,
) -> DoReport:
    """Do a recorded task once, or once a row of a table. given: texts of values, the same for every row.

    again: do it once more although it was done; without a table and without `do.batch` that is so in any case, since
    who asks for one attempt means one. nobody: no person is asked anything. told: called with what came of each row,
    and the number of rows. After MOST_FAILED rows in a row that broke or ended in doubt the rest is left for later.

    Raises:
        ConfigError: the data or the table cannot be used, or nothing can verify success. StoreLocked: another command
            does this task. As `make_plan`.
    """
    if again and rows is not None:
        raise ConfigError(
            "--again with --rows would send what is done once more each time that it is interrupted. Name this time by "
            "do.batch=NAME (e.g. the month) and empty the column `result`: the same rows under another name are other "
            "work.",
            key="do.again",
        )
    frontend = frontend or Frontend()
    plan = make_plan(replace(config, seed=max(config.seed, 0)), tasks=[chore.task])
    chore = replace(chore, task=plan.tasks[0])
    _check_verifiable(chore, config)
    if weak := _weak(chore):
        frontend.tell(weak)
    table = None if rows is None else open_table(rows, chore.values, chore.task.id, given)
    plan.environment.provide(chore.task, needs_of(chore.recorded.steps), str(chore.path))
    for text in table.told if table is not None else ():
        frontend.tell(text)
    if chore.shown.lost:
        frontend.tell(
            f"the recording is incomplete, what follows may fail: {'; '.join(in_sentences(chore.shown.lost))}."
        )
    ledger = Ledger(config.output.logs, chore.task.id)
    todo, repeats = _rows(table, chore, given, config.do.batch), table is None and not config.do.batch
    why = "stopped before it"
    with ledger.held(config.do.wait_seconds):
        ledger.thin(config.do.keep_days)
        known = [_known(ledger.get(row.key), row, again or repeats) for row in todo]
        results: list[RowResult] = []
        if all(one is not None for one in known):
            for one in (one for one in known if one is not None):
                _finish(one, table, todo, results, told)
            return DoReport(chore.task.id, tuple(results))
        with RunWriter(config, start_run(config, "do"), frontend) as writer:
            writer.announce(plan)
            approver = None if nobody else frontend.approver(writer.stop)
            with _Desk(chore, plan, writer, ledger, approver) as desk:
                for row, before in zip(todo, known, strict=True):
                    writer.stop.check()
                    result = before or desk.attempt(row)
                    _finish(result, table, todo, results, told)
                    writer.found["do"] = [vars(one) for one in results]
                    if result.verdict is Verdict.STOPPED:
                        break
                    if len(results) < len(todo) and _all_failed(results):
                        why = f"left for later: {MOST_FAILED} in a row broke or ended in doubt"
                        frontend.tell(why)
                        break
    left = [RowResult(row.number or None, row.key, row.values, Verdict.NOT_TRIED, why) for row in todo[len(results) :]]
    return DoReport(chore.task.id, (*results, *left), writer.folder, writer.stopped)


def settle(chore: Chore, given: Mapping[str, str], config: Config, rows: str | Path | None, said: str) -> str:
    """Write down what a person found out of a row that was in doubt; return one sentence.

    said: ``done`` or ``not-done``; of a table ``ROW=done``, ROW being its number.

    Raises:
        ConfigError: none of these, no such row, or a row that is not in doubt.
    """
    number, _, verdict = said.rpartition("=")
    if verdict not in ("done", "not-done") or (number and not number.isdigit()) or bool(number) != (rows is not None):
        form = "ROW=done or ROW=not-done" if rows is not None else "done or not-done"
        raise ConfigError(f"--settle {said!r} is not of the form {form}.", key="do.settle")
    plan = make_plan(replace(config, seed=max(config.seed, 0)), tasks=[chore.task])
    table = None if rows is None else open_table(rows, chore.values, plan.tasks[0].id, given)
    todo = [row for row in _rows(table, chore, given, config.do.batch) if not number or row.number == int(number)]
    if not todo:
        raise ConfigError(f"--settle {said}: {rows} has no row {number}.", key="do.settle")
    row, ledger = todo[0], Ledger(config.output.logs, plan.tasks[0].id)
    with ledger.held(config.do.wait_seconds):
        entry = ledger.get(row.key)
        if entry is None or entry.state is RowState.DONE:
            raise ConfigError(f"--settle {said}: {_called(row)} is not in doubt.", key="do.settle")
        if verdict == "done":
            ledger.put(row.key, RowState.DONE, row.values, "a person says that it was done", entry.receipt)
            if table is not None:
                table.write(row, Verdict.DONE, _now())
            return f"{_called(row)} counts as done."
        ledger.forget(row.key)
        if table is not None:
            table.write(row, "", _now())
        return f"{_called(row)} will be done by the next command."


def _weak(chore: Chore) -> str:
    """Return why a success check may be true of another page than the confirmation, "" where nothing says so."""
    looked = chore.task.success.value.casefold().strip()
    name = next((value.name for value in chore.parameters if looked and value.recorded.casefold() == looked), "")
    if chore.task.success.kind != "text" or not name:
        return ""
    return (
        f"the success check looks for nothing but {name}: a page that names it for another reason, such as an error, "
        "would count. Add the words of the confirmation to success in the task file."
    )


def _check_verifiable(chore: Chore, config: Config) -> None:
    """Check that something can say whether it was done. Raises ConfigError: nothing can."""
    ends = closing_checks(chore.shown, decisive_steps(chore, config.safety.submit_words))
    if chore.task.success.kind == "none" and not ends and not config.do.unverified:
        raise ConfigError(
            f"nothing says whether {chore.task.id!r} was done: add success: {{kind: text, value: ...}} to its task "
            f"file, or record it again and press {config.record.check} on the text that must be there at the end. "
            "do.unverified=true does it all the same, and ends with exit code 4.",
            key="do.unverified",
        )


def _all_failed(results: Sequence[RowResult]) -> bool:
    last = [one for one in results if not one.already][-MOST_FAILED:]
    return len(last) == MOST_FAILED and all(one.verdict in (Verdict.BROKE, Verdict.IN_DOUBT) for one in last)


def _rows(table: Table | None, chore: Chore, given: Mapping[str, str], batch: str) -> list[Row]:
    """Return the rows to do; without a table the one that is given.

    What is computed (today, a month's end) is left out of a row's key: a row that is tried again the next day is the
    same row. What may be done again for the same data needs another batch.
    """

    def key(texts: Mapping[str, str]) -> str:
        plain = row_key(chore.task.id, texts)
        return row_key(plain, {"batch": batch}) if batch else plain

    if table is None:
        texts = {**resolve(chore.values, given)}
        free = {value.name for value in chore.values if value.kind == "parameter"} | {*given}
        known = {name: text for name, text in texts.items() if name in free}
        return [Row(0, texts, key(known))]
    return [replace(row, values={**given, **row.values}, key=key({**given, **row.values})) for row in table.rows]


def _known(entry: Entry | None, row: Row, again: bool) -> RowResult | None:
    """Return the result of a row that is not to be tried, None where it is."""
    number = row.number or None
    if entry is None:
        if row.done and not again:
            return RowResult(number, row.key, row.values, Verdict.DONE, "the table says so", already=True)
        return None
    if entry.state is RowState.DONE:
        if again:
            return None
        return RowResult(
            number, row.key, row.values, Verdict.DONE, f"was done on {entry.day}", already=True, receipt=entry.receipt
        )
    what = "a command ended while it sent this" if entry.state is RowState.SENDING else entry.why
    how = f"{row.number}=done or {row.number}=not-done" if number else "done or --settle not-done"
    return RowResult(
        number, row.key, row.values, Verdict.IN_DOUBT,
        f"on {entry.day} it may have been sent already ({what}): look whether it was, then say --settle {how}",
        already=True, receipt=entry.receipt,
    )  # fmt: skip


def _finish(
    result: RowResult, table: Table | None, todo: Sequence[Row], results: list[RowResult],
    told: Callable[[RowResult, int], None],
) -> None:  # fmt: skip
    """Keep and tell what came of a row, and write it into the table."""
    row = todo[len(results)]
    results.append(result)
    if table is not None and result.verdict is not Verdict.STOPPED and not (result.already and row.done):
        word = result.verdict if result.verdict is Verdict.DONE else f"{result.verdict}: {result.why}"
        table.write(row, word, _now())
    told(result, len(todo))


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _called(row: Row) -> str:
    return f"row {row.number}" if row.number else "this data"


# ------------------------------------------------------------------------------------------ one attempt


@dataclass
class _Desk:
    """Does rows one after the other on one screen, which is opened again after it broke."""

    chore: Chore
    plan: Plan
    writer: RunWriter
    ledger: Ledger
    approver: Approver | None
    screen: Environment | None = None

    def __enter__(self) -> _Desk:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def _close(self) -> None:
        screen, self.screen = self.screen, None
        if screen is not None:
            screen.close()

    def attempt(self, row: Row) -> RowResult:
        """Do one row and write its receipt."""
        begun, number = time.time(), row.number or None
        shown, task = bind(self.chore.shown, self.chore.task, self.chore.values, row.values)
        decisive = decisive_steps(self.chore, self.writer.config.safety.submit_words)
        guard: Decisive | None = None
        report: ReplayReport | None = None
        try:
            if self.screen is None:
                self.screen = self.plan.environment(task)
            guard = Decisive(
                self.screen, task, shown, decisive, lambda: self._sending(row), self._person,
                self.writer.config.replay.longer, self.writer.stop,
            )  # fmt: skip
            report = self._replay(guard, shown, task)
            verdict, why = _verdict(report)
        except BadInput as error:
            verdict, why = Verdict.BAD, str(error)
        except ShowonceError as error:
            verdict, why = (Verdict.STOPPED if error.exit_code == 130 else Verdict.BROKE), str(error)
        sent = guard is not None and guard.sending
        if verdict is Verdict.STOPPED and sent:
            verdict, why = Verdict.IN_DOUBT, f"stopped after step {decisive[0]}, with which it is sent: {why}"
        if verdict in (Verdict.BROKE, Verdict.IN_DOUBT) or (report is not None and report.stop_reason in _BROKEN):
            self._close()
        made = () if guard is None else tuple(guard.done_as[step] for step in decisive if step in guard.done_as)
        folder = self._receipt(row, task, shown, report, verdict, why, begun, made)
        if verdict is Verdict.DONE:
            self.ledger.put(row.key, RowState.DONE, row.values, why, str(folder))
        elif sent:
            why = f"{why} (it may have been sent)"
            self.ledger.put(row.key, RowState.UNSURE, row.values, why, str(folder))
        self.ledger.note({
            "when": begun, "row": number, "key": row.key, "values": row.values, "verdict": verdict, "why": why,
            "receipt": str(folder), "episode": str(Path(report.episode.path).resolve()) if report is not None else "",
        })  # fmt: skip
        return RowResult(number, row.key, row.values, verdict, why, receipt=str(folder), seconds=time.time() - begun)

    @property
    def _person(self) -> Person | None:
        return person_of(self.approver)

    def _sending(self, row: Row) -> None:
        self.ledger.put(row.key, RowState.SENDING, row.values)

    def _replay(self, guard: Decisive, shown: Demonstration, task: Task) -> ReplayReport:
        writer, known = self.writer, any(frame.targets for frame in shown.frames)
        return replay_episode(
            self.chore.path, guard, task, mode="target" if known else "template", store=writer.episodes(),
            events=writer.events, stop=writer.stop, longer=writer.config.replay.longer, person=self._person,
            approver=self.approver, shown=shown, checker=guard.checked(), observers=guard.follow,
        )  # fmt: skip

    def _receipt(
        self, row: Row, task: Task, shown: Demonstration, report: ReplayReport | None, verdict: Verdict, why: str,
        begun: float, decisive: Sequence[int],
    ) -> Path:  # fmt: skip
        episode = None if report is None else report.episode
        name = f"{row.number:05d}" if row.number else "once"
        receipt = Receipt(
            task=task.id, goal=task.goal, recording=str(self.chore.path), values=dict(row.values), key=row.key,
            tier="nobody" if report is None else f"replay by {report.mode}",
            verdict=verdict, code=CODES[verdict], why=why,
            begun=begun, seconds=time.time() - begun, row=row.number or None,
            evidence="" if episode is None else episode.outcome.evidence,
            episode="" if episode is None else episode.path, decisive=tuple(decisive),
            steps=() if episode is None else _steps(episode),
            repaired=() if report is None else tuple(str(one) for one in report.repaired),
            pictures=() if episode is None else _pictures(episode, decisive), versions={"showonce": __version__},
        )  # fmt: skip
        folder = write_receipt(self.writer.folder.resolve() / RECEIPTS / name, receipt)
        if episode is not None and verdict is Verdict.DONE and self.writer.config.do.pictures == "decisive":
            for picture in Path(episode.path).glob("*.png"):  # the receipt has its own copies
                picture.unlink()
        return folder


_BROKEN: Final = (StopReason.ENVIRONMENT_ERROR, StopReason.MODEL_ERROR)


def decisive_steps(chore: Chore, submit_words: Sequence[str]) -> tuple[int, ...]:
    """Return the steps, from 1, with which a recording sends a row's data: those that must not be done twice.

    They are the steps after which the page sent something (`Demonstration.sends`), from the first use of a value that
    changes on: a sign-in comes before that. Where nobody could tell what was sent: clicks and keys from there on whose
    target bears a submit word, else the last click or key. Without a value that changes, from the first step on, but
    for the press that signs in after a secret was typed.
    """
    shown = chore.shown
    changing = [step for value in chore.values if value.kind in ("parameter", "computed") for step in value.steps]
    first = min(changing, default=1)
    if shown.sends is not None:
        found = [step + 1 for step in shown.sends if step + 1 >= first]
        found = [number for number in found if changing or not _signs_in(shown, number)] or found
        if found:
            return tuple(found)
    acting = [
        number
        for number, frame in enumerate(shown.frames, 1)
        if number >= first and isinstance(frame.action, (Click, TripleClick, Key))
    ]
    words = {word.casefold() for word in submit_words}
    named = [number for number in acting if shown.frames[number - 1].target.casefold().strip() in words]
    return tuple(named or acting[-1:] or [first])


def _signs_in(shown: Demonstration, number: int) -> bool:
    """Whether a step, from 1, presses what signs in, after a secret was typed."""
    typed = (str(getattr(frame.action, "text", "")) for frame in shown.frames[: number - 1])
    return any(map(mentions, typed)) and bool(find_word(shown.frames[number - 1].target, SIGN_IN))


def _verdict(report: ReplayReport) -> tuple[Verdict, str]:
    """Return what came of an attempt, and one line why."""
    episode, reason = report.episode, report.stop_reason
    why = (report.doubt or report.unmet or episode.why or str(reason)).rstrip(".")
    at = f"step {report.steps + 1} of {report.recorded_steps}: " if report.steps < report.expected else ""
    if reason is StopReason.STOPPED:
        return Verdict.STOPPED, f"{at}stopped"
    if reason in _BROKEN:
        return Verdict.BROKE, f"{at}{why}"
    if reason in (StopReason.DOUBT, StopReason.ASKED, StopReason.DENIED, StopReason.REFUSED):
        return Verdict.IN_DOUBT, why
    if episode.outcome.success is True and not report.unmet:
        return Verdict.DONE, f"verified: {episode.outcome.evidence or episode.outcome.checker}"
    if episode.outcome.checker == "none" and report.reached:
        return Verdict.NOT_REACHED, "all steps were done, and nothing verified it (do.unverified)"
    return Verdict.NOT_REACHED, f"{at}{why} ({reason})"


def _steps(episode: Episode) -> tuple[dict[str, Any], ...]:
    """Return the steps of an episode as a receipt has them; a step that was not done has its note."""
    found = []
    for number, step in enumerate(episode.steps, 1):
        target = step.targets[0] if step.targets else None
        on = " ".join(filter(None, (target.role, repr(target.name) if target.name else ""))) if target else ""
        line: dict[str, Any] = {"step": number, "did": in_words(step.executed) if step.executed else "nothing"}
        line |= {"on": on} if on else {}
        line |= {"note": step.note} if step.note else {}
        found.append(line)
    return tuple(found)


def _pictures(episode: Episode, decisive: Sequence[int]) -> tuple[Picture, ...]:
    """Return the screens before and after the decisive steps; where none was done, the last screen."""
    folder, frames = Path(episode.path), [step.frame for step in episode.steps]
    final = str(read_meta(folder).get("final_frame") or "") if episode.path else ""
    after = [*frames[1:], final]
    numbers = [number for number in decisive if number <= len(frames)]
    numbers = sorted({*numbers[:1], *numbers[1 - LAST_PICTURES :]}) or ([len(frames)] if frames else [])
    return tuple(
        Picture(
            number,
            in_words(action) if (action := episode.steps[number - 1].executed) else "nothing was done",
            str(folder / frames[number - 1]) if frames[number - 1] else "",
            str(folder / after[number - 1]) if after[number - 1] else "",
        )
        for number in numbers
    )

"""The runtime's own cost is measured as in a run."""

from __future__ import annotations

from tests.benchfactory import embedded

from benchmarks.runtime_overhead import OTHERS, WrittenOracle, step_overheads
from showonce.environments.registry import find_task
from showonce.protocols import Context


def test_the_runtimes_own_time_is_that_of_no_other_part() -> None:
    world = embedded()
    found = step_overheads(world, [find_task("skill/form"), find_task("skill/ask")], 4)
    assert len(found) == 2 * 5 + 2
    assert all(ms > 0 for ms in found)
    assert "model" in OTHERS
    assert "parse" not in OTHERS


def test_the_written_oracle_is_parsed_like_a_model() -> None:
    world = embedded()
    screen = world.reset(find_task("skill/drag"), 1)
    said = WrittenOracle(world).propose(screen, Context("drag"))
    assert said.text.startswith('{"action":"drag"')
    assert said.action == world.oracle()  # type: ignore[attr-defined]
    assert said.confidence.stated == 0.95

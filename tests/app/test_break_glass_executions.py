"""Executions without Temporal, on the toy world: to their end, and where they go on after a kill or Ctrl-C."""

from __future__ import annotations

import json
import os
import signal

import pytest

from orchestrator.app.break_glass.kept import Kept, TakenOver, driver_of
from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.status import commands, picture
from orchestrator.app.library import RunbookLibrary
from orchestrator.app.settings import Settings
from orchestrator.domain.state import TimerFired
from orchestrator.runtime import archive, audit
from tests.app.toy_shop import GROUP, Move, Shop, until
from tests.workflows.toy.provider import CATALOG

pytest_plugins = ["tests.app.toy_shop"]


def test_a_forced_failover_runs_to_its_end_and_has_its_report(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.world.lose_site("az-a")
    assert shop.failover() is ExitCode.DONE, capsys.readouterr().err
    told = capsys.readouterr()
    assert "✔ db.promote" in told.err
    assert "tideover report shop-1" in told.out
    assert shop.world.writable() == ["az-b"]
    assert not shop.world.was_split()
    assert shop.record.state().finish == shop.record.finish
    assert shop.ledger.execution is None
    assert (shop.ledger.holders, shop.ledger.doubts) == ({"db": "az-b"}, ())
    assert run(["report", "shop-1"]) is ExitCode.DONE
    assert (shop.directory / "reports").is_dir()
    kinds = [entry.what for entry in audit.entries(shop.journal)]
    assert kinds.index("command") < kinds.index("claimed") < kinds.index("effect")
    assert kinds[-1] == "finished"
    assert audit.verify(shop.journal) is None


@pytest.mark.parametrize(
    ("resource", "point"),
    [
        ("db@az-a:toy", "before"),
        ("db@az-a:toy", "sent"),
        ("db@az-a:toy", "done"),
        ("db@az-b", "sent"),
        ("db@az-b", "done"),
        ("name", "sent"),
    ],
)
def test_killed_in_the_middle_and_started_again_it_goes_on(shop: Shop, resource: str, point: str) -> None:
    left = shop.killed_at(resource, point)
    before = Kept.find(shop.journal, left)
    assert before is not None
    with shop.process() as process:
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert f"{left} goes on where it was" in shop.said()
    assert shop.world.writable() == ["az-b"]
    assert not shop.world.was_split()
    assert shop.record.execution.id == left
    assert list(shop.record.events[: len(before.events)]) == before.events
    assert [entry.detail["execution"] for entry in shop.audited("claimed")] == [left]  # one epoch, one approval
    assert [effect.state for effect in shop.world.effects("db@az-b")] == ["role primary"]
    assert (shop.ledger.execution, shop.ledger.epoch) == (None, 1)
    assert archive.names(shop.journal) == ["shop-1"]


@pytest.mark.parametrize(
    ("resource", "point"),
    [("db@az-a:toy", "sent"), ("db@az-a:toy", "done"), ("db@az-a", "before"), ("db@az-a", "sent"), ("db@az-a", "done")],
)
def test_a_rebuild_that_was_killed_in_the_middle_goes_on(shop: Shop, resource: str, point: str) -> None:
    assert shop.failover() is ExitCode.DONE
    assert set(shop.ledger.fenced.values()) == {"az-a"}
    rebuild: Move = ("reprotect", "az-a")
    left = shop.killed_at(resource, point, rebuild)
    with shop.process(None, rebuild) as process:
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert f"{left} goes on where it was" in shop.said()
    assert shop.world.things()["db@az-a"]["upstream"] == "az-b"
    assert not shop.world.was_split()
    assert (shop.ledger.execution, shop.ledger.fenced, shop.ledger.epoch) == (None, {}, 2)


@pytest.mark.parametrize("point", ["before", "sent", "done"])
def test_an_unfence_that_was_killed_in_the_middle_goes_on(shop: Shop, point: str) -> None:
    """More would be lost than was accepted, so the source was fenced and the standby never promoted."""
    shop.world.lag("az-b", 5)
    shop.world.break_("db@az-a:toy", "before", "hang")
    with shop.at_a_terminal() as (process, keyboard):
        until(lambda: "Type az-b to approve" in shop.said(), shop.said)
        os.write(keyboard, b"az-b\n")
        until(lambda: shop.world.reached("db@az-a:toy", "before"), shop.said)
        shop.world.lag("az-b", 600)
        shop.world.mend()
        until(lambda: "WAITING: " in shop.said(), shop.said)
        os.write(keyboard, b"escalate --reason 'too much would be lost'\n")
        assert shop.ended(process) == ExitCode.HUMAN_NEEDED, shop.said()
    assert "tideover unfence shop --at az-a --break-glass" in shop.said()
    unfence: Move = ("unfence", "az-a")
    left = shop.killed_at("db@az-a:toy", point, unfence)
    with shop.process(None, unfence) as process:
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert f"{left} goes on where it was" in shop.said()
    assert shop.world.things()["db@az-a:toy"] == {"power": "on"}
    assert shop.ledger.fenced == {}


def test_ctrl_c_waits_for_what_was_sent_and_leaves_the_rest_to_the_next_process(shop: Shop) -> None:
    shop.world.break_("db@az-a:toy", "sent", "hang")
    with shop.process(shop.plan.hash) as process:
        until(lambda: shop.world.reached("db@az-a:toy", "sent"), shop.said)
        process.send_signal(signal.SIGINT)
        until(lambda: "what was sent is waited for" in shop.said(), shop.said)
        assert process.poll() is None
        shop.world.mend()
        assert shop.ended(process) == ExitCode.HUMAN_NEEDED, shop.said()
    assert "go on with `tideover run shop --to az-b --mode forced --break-glass`" in shop.said()
    assert shop.world.things()["db@az-a:toy"] == {"power": "off"}
    assert shop.world.writable() == []
    assert shop.ledger.doubts == ()  # its answer was waited for
    assert shop.failover() is ExitCode.DONE
    assert len(shop.world.reached("db@az-a:toy", "sent")) == 1  # and is not asked for again


def test_doctor_tells_of_a_process_that_was_lost_and_how_to_go_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.killed_at("db@az-a:toy", "sent")
    monkeypatch.chdir(shop.directory)
    assert run(["doctor", "--output", "json"]) is ExitCode.NOT_READY
    checks = json.loads(capsys.readouterr().out)
    (told,) = [check for check in checks if "break-glass/shop#" in check["found"]]
    assert told["level"] == "fail"
    assert "it runs no more; " in told["found"]
    assert "db@az-a:toy: power off may still take effect" in told["found"]  # as may the address, which moves meanwhile
    assert "`tideover run shop --to az-b --mode forced --break-glass` goes on with it" in told["way_out"]


def test_status_proposes_what_goes_on_after_a_process_that_was_lost_and_nothing_while_it_lives(shop: Shop) -> None:
    assert proposals(shop) == ["tideover run shop --to az-b --mode planned --break-glass"]
    shop.killed_at("db@az-a:toy", "sent")
    go_on, *others = proposals(shop)
    assert go_on == "tideover run shop --to az-b --mode forced --break-glass"
    assert all(other.endswith(' --break-glass --holder-is-gone "..."') for other in others)
    shop.world.break_("db@az-a:toy", "sent", "hang")
    with shop.process() as process:
        until(lambda: proposals(shop) == ["tideover doctor"], shop.said)
        shop.world.mend()
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    (shop.directory / "journal.db").unlink()
    assert proposals(shop) == ["tideover doctor"]


def proposals(shop: Shop) -> list[str]:
    """The commands that `tideover status` proposes."""
    settings = Settings(credentials=shop.directory / "credentials.toml")
    runbook = RunbookLibrary([shop.directory], CATALOG).runbook(GROUP)
    return [command for command, _ in commands(*picture(runbook, settings, CATALOG))]


def test_what_was_begun_goes_on_with_the_plan_that_was_approved(shop: Shop) -> None:
    shop.killed_at("db@az-a:toy", "sent")
    with shop.process("0123456789ab") as process:
        assert shop.ended(process) == ExitCode.NOT_APPROVED, shop.said()
    assert "was begun with the plan" in shop.said()


def test_a_driver_that_was_overtaken_writes_nothing_more(shop: Shop) -> None:
    left = shop.killed_at("db@az-a:toy", "sent")
    one, other = Kept.find(shop.journal, left), Kept.find(shop.journal, left)
    process = driver_of(shop.journal, left)
    assert one is not None
    assert other is not None
    assert process is not None
    one.take_over(process)
    with pytest.raises(TakenOver):
        other.take_over(process)
    one.append(TimerFired(id="x", at=1.0))
    with pytest.raises(TakenOver):
        other.append(TimerFired(id="y", at=1.0))

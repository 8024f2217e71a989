"""An execution without Temporal is approved and spoken to: by lines typed in, beforehand, and where nobody can type."""

from __future__ import annotations

import os
import re

import pytest

from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.spoken import NotUnderstood, spoken
from orchestrator.domain.commands import Approve, Attest, Retry
from tests.app.toy_shop import GROUP, Shop, until

pytest_plugins = ["tests.app.toy_shop"]
END_OF_INPUT = b"\x04"


def test_it_is_approved_and_spoken_to_by_lines_typed_in(shop: Shop) -> None:
    shop.world.break_("db@az-a:toy", "before", "Rejected")
    with shop.at_a_terminal() as (process, keyboard):
        until(lambda: "Type az-b to approve" in shop.said(), shop.said)
        os.write(keyboard, b"az-c\naz-b\n")
        until(lambda: "WAITING: db.fence" in shop.said(), shop.said)
        vouched = "db.fence --reason 'pulled the plug'"
        lines = [f"attest {vouched}", f"tideover attest shop {vouched}", "skip db.fence --reason none"]
        os.write(keyboard, "\n".join((*lines, "")).encode())
        until(lambda: "skip refused: db.fence cannot be skipped" in shop.said(), shop.said)
        shop.world.lose_site("az-a")
        os.write(keyboard, b"attest db.fence --by bob --reason 'I saw it dark'\n")
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert "'az-c' is no command" in shop.said()
    assert "attest refused: ann has attested db.fence already" in shop.said()
    assert [(e.who, e.detail["command"]) for e in shop.audited("command")] == [
        ("ann", "approve"), ("ann", "attest"), ("bob", "attest"),
    ]  # fmt: skip
    assert [e.detail["command"] for e in shop.audited("refused")] == ["attest", "skip"]
    assert not shop.world.was_split()


def test_more_loss_than_was_named_is_accepted_by_its_own_name_only(shop: Shop) -> None:
    """Before anything is begun, and after the fence, where still more would be lost."""
    shop.world.lag("az-b", 5)
    shop.world.break_("db@az-a:toy", "before", "hang")
    with shop.at_a_terminal("", "0s") as (process, keyboard):
        until(lambda: "Type az-b --max-loss 90s to approve" in shop.said(), shop.said)
        assert "You accept the loss of at most 90s" in shop.said()
        assert "more than the 0s that was named" in shop.said()
        os.write(keyboard, b"az-b\n")
        until(lambda: "That is not az-b --max-loss 90s" in shop.said(), shop.said)
        assert not shop.world.effects()
        os.write(keyboard, b"az-b --max-loss 90s\n")
        until(lambda: shop.world.reached("db@az-a:toy", "before"), shop.said)
        shop.world.lag("az-b", 600)
        shop.world.mend()
        until(lambda: "You accept the loss of at most 11m" in shop.said(), shop.said)
        (typed,) = set(re.findall(r"Type (az-b --max-loss 11m\w*) to approve", shop.said()))
        os.write(keyboard, f"{typed}\n".encode())
        assert shop.ended(process) == ExitCode.OBJECTIVE_MISSED, shop.said()
    assert "more than the 90s that was named so far." in shop.said()
    assert "approve refused" not in shop.said()
    assert "(-" not in shop.said(), "a step that is begun anew takes no negative time"
    assert [e.detail["max_loss"] for e in shop.audited("command")] == ["90s", typed.split()[-1]]


def test_a_hash_that_is_given_beforehand_with_less_than_the_fence_leaves_is_asked_anew(shop: Shop) -> None:
    shop.world.break_("db@az-a:toy", "before", "hang")
    with shop.at_a_terminal(shop.plan.hash, "0s") as (process, keyboard):
        until(lambda: shop.world.reached("db@az-a:toy", "before"), shop.said)
        shop.world.lag("az-b", 5)
        shop.world.mend()
        until(lambda: "Type az-b --max-loss 90s to approve" in shop.said(), shop.said)
        os.write(keyboard, b"az-b --max-loss 90s\n")
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert "AWAITING_APPROVAL" not in shop.said(), "it was approved before anybody had to be asked"
    assert "approve refused" not in shop.said()


def test_where_nobody_can_be_asked_nothing_is_begun_and_the_way_out_is_told(shop: Shop) -> None:
    with shop.process() as process:
        assert shop.ended(process) == ExitCode.USAGE, shop.said()
    assert f"no terminal to ask at, and nothing was begun: --approve {shop.plan.hash}" in shop.said()
    assert not shop.journal.read("break-glass/")


def test_where_the_terminal_is_closed_before_the_approval_it_ends_at_once(shop: Shop) -> None:
    with shop.at_a_terminal() as (process, keyboard):
        until(lambda: "Type az-b to approve" in shop.said(), shop.said)
        os.write(keyboard, END_OF_INPUT)
        assert shop.ended(process) == ExitCode.NOT_APPROVED, shop.said()
    assert f"--approve {shop.plan.hash} approves beforehand" in shop.said()
    assert not shop.world.effects()


def test_a_process_that_waits_where_nobody_can_type_says_how_to_be_heard(shop: Shop) -> None:
    shop.world.break_("db@az-a:toy", "before", "Rejected")
    with shop.process(shop.plan.hash) as process:
        until(lambda: "WAITING: db.fence" in shop.said(), shop.said)
        until(lambda: "nobody can type here" in shop.said(), shop.said)
        assert process.poll() is None
    shop.world.mend()
    with shop.at_a_terminal() as (process, keyboard):
        until(lambda: "goes on where it was" in shop.said(), shop.said)
        os.write(keyboard, b"retry db.fence\n")
        assert shop.ended(process) == ExitCode.DONE, shop.said()


def test_another_hash_is_refused_and_nothing_is_touched(shop: Shop) -> None:
    assert shop.failover("0123456789ab") is ExitCode.NOT_APPROVED
    assert not shop.world.effects()
    assert shop.ledger.epoch == 0
    assert "`plan` is '0123456789ab'" in shop.audited("refused")[0].detail["why"]
    assert shop.record.finish is not None
    assert shop.record.finish.end == "ABORTED_SAFE"


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("retry db.fence", Retry(by="ann", step="db.fence")),
        ("tideover retry shop db.fence --by bob", Retry(by="bob", step="db.fence")),
        ('attest db.fence --reason "saw it dark"', Attest(by="ann", step="db.fence", reason="saw it dark")),
        ("approve --to az-b --plan=0 --max-loss 30s", Approve.model_validate(
            {"by": "ann", "to": "az-b", "plan": "0", "max_loss": "30s"})),
    ],
)  # fmt: skip
def test_a_typed_line_is_the_command_that_it_looks_like(line: str, means: object) -> None:
    assert spoken(line, GROUP, "ann") == means


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("rety db.fence", "did you mean 'retry'?"),
        ("retry", "retry: --step field required"),
        ("attest db.fence --reason short", "--reason"),
        ("retry db.fence --by", "--by needs a value"),
        ("retry 'db.fence", "close the quotation"),
        ("pause --why x", "--why"),
    ],
)
def test_a_line_that_is_none_says_why(line: str, why: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        spoken(line, GROUP, "ann")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)

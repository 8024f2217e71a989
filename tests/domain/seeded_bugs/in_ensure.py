"""Rules of `ensure` broken: what one attempt takes for done."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain import ensure
from orchestrator.domain.engine import actions
from orchestrator.domain.ensure import Accepted, Blind, InDoubt, Progress, Saw
from orchestrator.domain.outcome import Done, Failed, Unknown
from orchestrator.domain.plan import Kind
from orchestrator.domain.rehearsal import model
from orchestrator.domain.world import Reading


def _done_unread(patch: pytest.MonkeyPatch, taken: type[Accepted | InDoubt]) -> None:
    """A request with this reply counts as done, and nothing is read back."""
    real = ensure._changing

    def changing(progress: Progress, reply: Any) -> Any:
        if not isinstance(reply, taken):
            return real(progress, reply)
        reading = Reading(states=(progress.goal.desired,), authority="", authoritative=True, latched=True)
        return progress, Done(evidence=ensure._evidence(progress.goal, reading, reply.at, reply.at), changed=True)

    patch.setattr(ensure, "_changing", changing)


def accepted_counts_as_done(patch: pytest.MonkeyPatch) -> None:
    """What an API has accepted is not read back."""
    _done_unread(patch, Accepted)


def no_answer_counts_as_done(patch: pytest.MonkeyPatch) -> None:
    """A request that timed out is taken for done."""
    _done_unread(patch, InDoubt)


def no_answer_counts_as_not_sent(patch: pytest.MonkeyPatch) -> None:
    """A request that timed out is taken for one that never was."""
    real = ensure._changing

    def changing(progress: Progress, reply: Any) -> Any:
        return (progress, Failed(why=reply.why)) if isinstance(reply, InDoubt) else real(progress, reply)

    patch.setattr(ensure, "_changing", changing)


def what_was_not_seen_in_time_has_failed(patch: pytest.MonkeyPatch) -> None:
    """A request in doubt whose effect is not there after a while is taken for one that never will have any."""
    real = ensure._reading_back

    def reading_back(progress: Progress, reply: Any) -> Any:
        after, said = real(progress, reply)
        return after, Failed(why=said.why) if isinstance(said, Unknown) and isinstance(reply, Saw) else said

    patch.setattr(ensure, "_reading_back", reading_back)


def what_is_read_answers_for_the_request(patch: pytest.MonkeyPatch) -> None:
    """A request without an answer counts as answered once the wanted state is read, whoever brought it about."""
    real = ensure._reading_back

    def reading_back(progress: Progress, reply: Any) -> Any:
        after, said = real(progress, reply)
        return after, said.model_copy(update={"answered": True}) if isinstance(said, Done) else said

    patch.setattr(ensure, "_reading_back", reading_back)


def _taken_for_done(patch: pytest.MonkeyPatch, kind: Kind) -> None:
    """A step of this kind is done where what it wants is read already."""
    real = actions._perform

    def perform(plan: Any, state: Any, step: Any, number: int) -> Any:
        order = real(plan, state, step, number)
        return order.model_copy(update={"may_be_there": True}) if step.kind == kind else order

    patch.setattr(actions, "_perform", perform)


def a_fence_takes_the_fast_path(patch: pytest.MonkeyPatch) -> None:
    """A fence is done where the machine is read off already."""
    _taken_for_done(patch, "fence")


def an_isolation_takes_the_fast_path(patch: pytest.MonkeyPatch) -> None:
    """What was replaced is not stopped where it is read stopped already."""
    _taken_for_done(patch, "isolate")


def an_announcement_takes_the_fast_path(patch: pytest.MonkeyPatch) -> None:
    """Nobody is told again of an address that is there already."""
    _taken_for_done(patch, "announce")


def undo_takes_the_fast_path(patch: pytest.MonkeyPatch) -> None:
    """An undo is done where the state is read already, though what it undoes may still come."""
    real = actions._undo
    patch.setattr(actions, "_undo", lambda s, u: real(s, u).model_copy(update={"may_be_there": True}))


def it_toggles(patch: pytest.MonkeyPatch) -> None:
    """A machine's power is switched over instead of set."""
    real = model.powered

    def powered(world: Any, place: Any, power: Any) -> Any:
        return real(world, place, "off" if world.power[place] == "on" else "on")

    patch.setattr(model, "powered", powered)


def nothing_is_compared_before_it_is_set(patch: pytest.MonkeyPatch) -> None:
    """A name is overwritten, whatever it says by now."""
    real = model._set
    patch.setattr(model, "_set", lambda world, spec, desired, _: real(world, spec, desired, None))


def a_stale_reading_back_counts(patch: pytest.MonkeyPatch) -> None:
    """What is read back may have been read before it was asked for."""
    real = ensure._reading_back

    def reading_back(progress: Progress, reply: Any) -> Any:
        seen = reply.model_copy(update={"began": progress.requested_at}) if isinstance(reply, Saw) else reply
        return real(progress, seen)

    patch.setattr(ensure, "_reading_back", reading_back)


def what_could_not_be_looked_at_is_changed(patch: pytest.MonkeyPatch) -> None:
    """A first look that sees nothing is as good as one that does."""
    real = ensure._looking

    def looking(progress: Progress, reply: Any) -> Any:
        after, said = real(progress, reply)
        if isinstance(reply, Blind) and isinstance(said, Failed):
            return ensure._to(progress, ensure.Phase.CHANGING), ensure.Change()
        return after, said

    patch.setattr(ensure, "_looking", looking)


def whoever_answers_is_the_one_meant(patch: pytest.MonkeyPatch) -> None:
    """What another one answers in its place counts, and it is asked to change."""
    patch.setattr(ensure, "_another", lambda *_: False)


def whoever_answers_afterwards_has_done_it(patch: pytest.MonkeyPatch) -> None:
    """Who it is, is asked before the change only."""
    real = ensure._reading_back

    def reading_back(progress: Progress, reply: Any) -> Any:
        anybody = progress.goal.model_copy(update={"identity": None})
        return real(progress.model_copy(update={"goal": anybody}), reply)

    patch.setattr(ensure, "_reading_back", reading_back)

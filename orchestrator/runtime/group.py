"""A protection group's record in the journal: claimed, guarded and released by compare-and-set."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from orchestrator.domain import exclusion, ledger, settling
from orchestrator.domain.errors import GuardRefused
from orchestrator.domain.ledger import Attempt, Execution, Gone, GroupRecord, Request
from orchestrator.domain.outcome import Outcome
from orchestrator.domain.plan import Plan
from orchestrator.domain.resource_ids import instance
from orchestrator.ports import Journal
from orchestrator.runtime.audit import NewEntry, append, appended
from orchestrator.runtime.decoding import decoded

Change = Callable[[GroupRecord], GroupRecord | str]

_HELD = "held/"


class Group:
    """One group's safety state: read, decided on by the domain, and written only if nobody came between.

    `execution`: the one in whose name requests are entered and the group is closed; where it does not hold the group,
    these are refused.
    """

    def __init__(self, journal: Journal, name: str, execution: str | None = None) -> None:
        self.journal, self.name, self.execution = journal, name, execution

    def record(self) -> GroupRecord:
        """What the journal knows of the group; a fresh record where it knows nothing. Raises JournalUnavailable."""
        return self._read()[0]

    def claim(
        self,
        plan: Plan,
        execution: Execution,
        gone: Gone | None = None,
        asked_at: dict[str, float] | None = None,
        seen: int | None = None,
    ) -> GroupRecord | str:
        """The group and everything that the plan changes, claimed for `execution`; or why not (I6).

        A refusal stands in the audit trail as well, and so does `gone`, who held it and surely runs no more.
        `asked_at`: when the checks looked at each resource, which settles doubts that are older than they can be late.
        `seen`: the epoch at which they did.
        """
        if plan.journal != self.journal.id:
            return f"the plan was made for journal {plan.journal[:8]}, this one is {self.journal.id[:8]}: plan again"
        detail: dict[str, object] = {"execution": execution.id}
        displaced = {"displaced": gone.execution, "why": gone.why} if gone else {}
        claimed = self._swap(
            lambda record: ledger.open_execution(
                ledger.settle_all(record, plan, asked_at or {}), execution, gone=gone, seen=seen
            ),
            self._entry("claimed", execution.who, execution.plan, detail | displaced),
            holding=plan,
        )
        if isinstance(claimed, str):
            self.refused(plan, execution.who, {**detail, "why": claimed})
        return claimed

    def refused(self, plan: Plan, who: str, detail: Mapping[str, object]) -> None:
        """That the group was not given to `who` stands in the audit trail (I12)."""
        append(self.journal, self._entry("refused", who, plan.digest, {"command": "claim", **detail}))

    def close(
        self,
        plan: Plan,
        epoch: int | None,
        clean: bool,
        detail: Mapping[str, object],
        by_hand: Mapping[str, str] | None = None,
    ) -> GroupRecord:
        """The group and what it held released, but for what is in doubt: the effect of that may still reach it.

        `epoch`: None where the execution never heard of its claim. `by_hand`: resource to site, of what people have
        fenced. Raises GuardRefused where a newer one took over.
        """
        found = self.record()
        execution = self.execution or (found.execution.id if found.execution else "")
        if ledger.let_go(found, plan, execution, epoch, clean) is found:
            return found
        closed = self._swap(
            lambda record: ledger.let_go(settling.fence_by_hand(record, by_hand or {}), plan, execution, epoch, clean),
            self._entry("finished", "tideover", plan.digest, detail),
            holding=plan,
        )
        if isinstance(closed, str):
            raise GuardRefused(closed)
        return closed

    def superseded(self) -> str | None:
        """Why the execution may change nothing more, as the ledger says; None where it holds the group."""
        return ledger.not_holding(self.record(), self.execution) if self.execution else None

    def revoke_older(self, attempt: Attempt, resource: str) -> None:
        """Every older attempt on `resource` is revoked. Raises GuardRefused where this one is itself too old (I5)."""
        self._swap_or_refuse(self._own(lambda found: ledger.claim(found, attempt, resource)), None)

    def enter(self, request: Request, plan: str, who: str) -> None:
        """The request stands in the ledger and the audit trail, durably. Raises GuardRefused (I5, I7, I12)."""
        before = request.before.model_dump(mode="json") if request.before else None
        detail = {
            "attempt": str(request.attempt),
            "undo": request.attempt.undo,
            "want": request.want.model_dump(mode="json"),
            "before": before,
        }
        entry = self._entry("effect", who, plan, detail)
        self._swap_or_refuse(self._own(lambda record: ledger.enter(record, request, plan)), entry)

    def close_attempt(self, attempt: Attempt, outcome: Outcome, who: str, plan: str) -> None:
        """The attempt's answer stands in the ledger and the audit trail; if a power failure undoes it, the doubt is
        back, which is the safe side."""
        detail: dict[str, object] = {"attempt": str(attempt), "outcome": outcome.kind}
        detail["said"] = str(outcome.evidence.state) if outcome.kind == "done" else outcome.why
        entry = self._entry("ended", who, plan, detail)
        execution = self.execution
        self._swap(lambda record: ledger.close_attempt(record, attempt, outcome, execution), entry, durable=False)

    def settle_by_hand(self, plan: Plan, resource: str, who: str, reason: str) -> GroupRecord | str:
        """What was asked of `resource` is in doubt no more, by the word of `who`; or why that is not taken.

        Both stand in the audit trail. `plan`: any of the group's, which says what its resources are.
        """
        spec = plan.resources.get(resource)
        late = spec.late_effect if spec else None
        detail = {"command": "settle", "resource": resource, "reason": reason}
        settled = self._swap(
            lambda record: settling.settle_by_hand(record, resource, late),
            self._entry("command", who, plan.digest, detail),
            holding=plan,
        )
        if isinstance(settled, str):
            append(self.journal, self._entry("refused", who, plan.digest, {**detail, "why": settled}))
        return settled

    def release(self, component: str, site: str, who: str, plan: str) -> None:
        """The fence of `component` at `site` is lifted in the ledger. Raises GuardRefused."""
        entry = self._entry("ended", who, plan, {"release": instance(component, site)})
        self._swap_or_refuse(self._own(lambda record: ledger.release(record, component, site)), entry)

    def keep_token(self, resource: str, token: str) -> None:
        """The token of a long-running request is there for the next attempt. Where another execution holds the group
        by now, nothing is written."""

        def kept(record: GroupRecord) -> GroupRecord:
            return record.model_copy(update={"tokens": {**record.tokens, resource: token}})

        self._swap(self._own(kept), None)

    def _own(self, change: Change) -> Change:
        """The change, refused where the execution does not hold the group."""
        execution = self.execution
        return change if execution is None else lambda found: ledger.not_holding(found, execution) or change(found)

    def _swap_or_refuse(self, change: Change, entry: NewEntry | None) -> None:
        refused = self._swap(change, entry)
        if isinstance(refused, str):
            raise GuardRefused(refused)

    def _swap(
        self, change: Change, entry: NewEntry | None, holding: Plan | None = None, *, durable: bool = True
    ) -> GroupRecord | str:
        while True:
            record, version = self._read()
            changed = change(record)
            if isinstance(changed, str):
                return changed
            swaps = [(self._key, changed.model_dump_json(), version)]
            if holding:
                taken = self._held(holding, changed)
                if isinstance(taken, str):
                    return taken
                swaps += taken
            if entry:
                swaps += appended(self.journal, entry)
            if self.journal.swap(*swaps, durable=durable):
                return changed

    def _held(self, plan: Plan, record: GroupRecord) -> list[tuple[str, str, int]] | str:
        """The swaps after which the group holds what it must and no more, or who holds one of these things."""
        found = self.journal.read(_HELD)
        changes = exclusion.holding(record, plan, {key.removeprefix(_HELD): group for key, (group, _) in found.items()})
        if isinstance(changes, str):
            return changes
        return [(f"{_HELD}{key}", to, found.get(f"{_HELD}{key}", ("", 0))[1]) for key, to in sorted(changes.items())]

    def _read(self) -> tuple[GroupRecord, int]:
        found = self.journal.read(self._key).get(self._key)
        if found is None:
            return GroupRecord(group=self.name), 0
        return decoded(GroupRecord.model_validate_json, self._key, found[0]), found[1]

    def _entry(self, what: str, who: str, plan: str, detail: Mapping[str, object]) -> NewEntry:
        return NewEntry(at=time.time(), what=what, group=self.name, who=who, plan=plan, detail=dict(detail))

    @property
    def _key(self) -> str:
        return f"group/{self.name}"

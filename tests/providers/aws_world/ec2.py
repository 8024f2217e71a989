"""EC2 as it is: instances take time to change, and an address is not taken from its holder unless one says so.

moto starts and stops within the request, even what is terminated; takes an address that a network interface holds
without AllowReassociation; leaves the address on the interface that it was moved away from; and does not name the
instance behind an interface that holds one.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from tests.providers.aws_world.wire import Answer, Forward, Request, parsed, refusal, with_form

_CODES = {"pending": "0", "running": "16", "shutting-down": "32", "stopping": "64"}
_ON_THE_WAY = {
    "RunInstances": "pending",
    "StartInstances": "pending",
    "StopInstances": "stopping",
    "TerminateInstances": "shutting-down",
}
_ENDS = {
    "RunInstances": {"running"},
    "StartInstances": {"running"},
    "StopInstances": {"stopped"},
    "TerminateInstances": {"terminated"},
}
_NOT_FROM = {
    "StartInstances": {"stopping", "shutting-down", "terminated"},
    "StopInstances": {"pending", "shutting-down", "terminated"},
}
_ITEMS = ".//{*}instancesSet/{*}item"


@dataclass
class Transition:
    """What an instance shows for some more reads before it shows what it has become."""

    state: str
    reads: float


class Ec2:
    """Corrects power and elastic addresses; lets everything else through to moto."""

    def __init__(self, transition_reads: int) -> None:
        self.transition_reads = transition_reads
        self.hung: set[str] = set()  # instances whose system ignores a graceful shutdown
        self.lost: set[str] = set()  # instances whose host does not answer: only Force calls them stopped
        self._transitions: dict[str, Transition] = {}
        self._lock = threading.RLock()

    def answer(self, request: Request, forward: Forward) -> Answer:
        """What AWS would answer."""
        corrections = {
            "DescribeInstances": self._describe,
            "AssociateAddress": self._associate,
            "DescribeAddresses": self._addresses,
            **dict.fromkeys(_ON_THE_WAY, self._power),
        }
        correction = corrections.get(request.action)
        if correction is None:
            return forward(request)
        with self._lock:
            return correction(request, forward)

    def _describe(self, request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        return self._shown(answer, "instanceState", count=True)

    def _power(self, request: Request, forward: Forward) -> Answer:
        ids = [value for name, value in request.form.items() if name.startswith("InstanceId.")]
        before = {instance: self._state(request, instance, forward) for instance in ids}
        for instance, state in before.items():
            if state in _NOT_FROM.get(request.action, set()):
                message = f"The instance '{instance}' is not in a state ({state}) from which this can be done."
                return refusal(request, "IncorrectInstanceState", message)
        answer = forward(request)
        if answer.status != 200:
            return answer
        for item in parsed(answer.body).iterfind(_ITEMS):
            instance = item.findtext("{*}instanceId") or ""
            if before.get(instance) not in _ENDS[request.action]:
                self._begin(request, instance)
        return self._shown(answer, "instanceState" if request.action == "RunInstances" else "currentState")

    def _begin(self, request: Request, instance: str) -> None:
        """Start the transition, unless one to the same end is under way."""
        state = _ON_THE_WAY[request.action]
        forced, skips = (request.form.get(name) == "true" for name in ("Force", "SkipOsShutdown"))
        stuck = not forced and (instance in self.lost or (instance in self.hung and not skips))
        endless = state == "stopping" and stuck
        already = self._transitions.get(instance)
        if already is None or already.state != state or math.isinf(already.reads):
            self._transitions[instance] = Transition(state, math.inf if endless else self.transition_reads)

    def _state(self, request: Request, instance: str, forward: Forward) -> str | None:
        if instance in self._transitions:
            return self._transitions[instance].state
        asked = with_form(request, Action="DescribeInstances", **{"InstanceId.1": instance})
        return parsed(forward(asked).body).findtext(".//{*}instanceState/{*}name")

    def _shown(self, answer: Answer, element: str, *, count: bool = False) -> Answer:
        """The answer with the states on the way in place of the ends; each read brings the end nearer."""
        if answer.status != 200:
            return answer
        root = parsed(answer.body)
        for item in root.iterfind(_ITEMS):
            instance = item.findtext("{*}instanceId") or ""
            transition = self._transitions.get(instance)
            if transition is None:
                continue
            _set(item, f"{{*}}{element}/{{*}}name", transition.state)
            _set(item, f"{{*}}{element}/{{*}}code", _CODES[transition.state])
            transition.reads -= 1 if count else 0
            if transition.reads <= 0:
                del self._transitions[instance]
        return Answer(answer.status, Xml.tostring(root))

    def _associate(self, request: Request, forward: Forward) -> Answer:
        asked = with_form(request, Action="DescribeAddresses", **{"AllocationId.1": request.form["AllocationId"]})
        held = parsed(self._addresses(asked, forward).body).find(".//{*}addressesSet/{*}item")
        association = held.findtext("{*}associationId") if held is not None else None
        if held is None or not association:
            return forward(request)
        wanted = request.form.get("NetworkInterfaceId") or request.form.get("InstanceId")
        stays = wanted in (held.findtext("{*}networkInterfaceId"), held.findtext("{*}instanceId"))
        if not stays and request.form.get("AllowReassociation") != "true":
            message = f"resource {request.form['AllocationId']} is already associated with associate-id {association}"
            return refusal(request, "Resource.AlreadyAssociated", message)
        if not stays:
            forward(with_form(request, Action="DisassociateAddress", AssociationId=association))
        return forward(request)

    def _addresses(self, request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        if answer.status != 200:
            return answer
        root = parsed(answer.body)
        for item in root.iterfind(".//{*}addressesSet/{*}item"):
            interface = item.findtext("{*}networkInterfaceId")
            if interface and not item.findtext("{*}instanceId"):
                asked = with_form(request, Action="DescribeNetworkInterfaces", **{"NetworkInterfaceId.1": interface})
                behind = parsed(forward(asked).body).findtext(".//{*}attachment/{*}instanceId")
                if behind:
                    _set(item, "{*}instanceId", behind)
        return Answer(answer.status, Xml.tostring(root))


def _set(item: Xml.Element, path: str, text: str) -> None:
    found = item.find(path)
    assert found is not None
    found.text = text

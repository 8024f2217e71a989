"""Faults before and after the effect of a request."""

from __future__ import annotations

import threading
from enum import Enum

from tests.providers.aws_world.wire import Answer, Forward, Request, drop, refusal


class Fault(Enum):
    """What goes wrong, and whether the request has had its effect when it does."""

    DENIED = "refused for lack of a permission"
    THROTTLED = "refused because too many requests came before"
    ERROR_BEFORE = "HTTP 500 without effect"
    ERROR_AFTER = "HTTP 500 after the effect"
    CUT_BEFORE = "connection cut without effect"
    CUT_AFTER = "connection cut after the effect"
    SILENCE_BEFORE = "no answer and no effect until the client gives up"
    SILENCE_AFTER = "no answer after the effect until the client gives up"


AFTER_EFFECT = frozenset({Fault.ERROR_AFTER, Fault.CUT_AFTER, Fault.SILENCE_AFTER})


class Faults:
    """Faults waiting for their request, each of which happens once, and the requests that have come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, Fault]] = []
        self.came: list[Request] = []
        self.all_cut = False
        self.closing = threading.Event()

    def add(self, action: str, fault: Fault) -> None:
        """The next request for `action` meets `fault`."""
        with self._lock:
            self._waiting.append((action, fault))

    @property
    def left(self) -> tuple[tuple[str, Fault], ...]:
        """Faults that no request has met yet."""
        return tuple(self._waiting)

    def requests(self, action: str) -> list[Request]:
        """The requests for `action` that have come, those that met a fault included."""
        return [request for request in self.came if request.action == action]

    def answer(self, request: Request, forward: Forward) -> Answer:
        """The answer that comes through. Raises ConnectionAbortedError where none does."""
        fault = self._take(request)
        if self.all_cut:
            raise drop(request)
        if fault is None:
            return forward(request)
        if fault in AFTER_EFFECT:
            forward(request)
        return self._instead(request, fault)

    @property
    def changes(self) -> list[str]:
        """The actions that have come and are no mere questions."""
        questions = ("Describe", "Get", "List")
        return [request.action for request in self.came if not request.action.startswith(questions)]

    def _take(self, request: Request) -> Fault | None:
        with self._lock:
            self.came.append(request)
            for entry in self._waiting:
                if entry[0] == request.action:
                    self._waiting.remove(entry)
                    return entry[1]
        return None

    def _instead(self, request: Request, fault: Fault) -> Answer:
        if fault in (Fault.SILENCE_BEFORE, Fault.SILENCE_AFTER):
            self.closing.wait(timeout=30)
        if fault is Fault.DENIED:
            code = "UnauthorizedOperation" if request.form else "AccessDenied"
            return refusal(request, code, "You are not authorized to perform this operation.", 403)
        if fault is Fault.THROTTLED and request.form:
            return refusal(request, "RequestLimitExceeded", "Request limit exceeded.", 503)
        if fault is Fault.THROTTLED:
            return refusal(request, "Throttling", "Rate exceeded", 400)
        if fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER):
            return refusal(request, "InternalError", "An internal error has occurred", 500)
        raise drop(request)

"""How values and errors cross Temporal: wrong input of a human ends in one clear line, at once, without a stack trace.

By default a validation error leaves an execution Running and retried for ever; here it becomes a failure that is final.
"""

from __future__ import annotations

import json
from typing import Any, get_args

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
    PayloadConverter,
)
from temporalio.exceptions import ApplicationError

from orchestrator.domain.commands import OperatorInput
from orchestrator.domain.findings import did_you_mean, plain

INVALID_INPUT = "InvalidInput"
REFUSED = "Refused"
ONE_LINE = frozenset({INVALID_INPUT, REFUSED})
"""Types of failures that are answers to a human: shown without a stack trace."""


def invalid_input(model: type[OperatorInput], why: str) -> ApplicationError:
    """The failure for something that a human typed wrong: what is wrong, and an example."""
    return ApplicationError(f"{why} (write for example {model.EXAMPLE})", type=INVALID_INPUT, non_retryable=True)


def refused(why: str) -> ApplicationError:
    """The failure for something that a human asked and may not have."""
    return ApplicationError(why, type=REFUSED, non_retryable=True)


class _JsonConverter(PydanticJSONPlainPayloadConverter):
    """JSON through pydantic; what a human typed wrong is a final failure of one line."""

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """The value in the payload. Raises ApplicationError where it should be an OperatorInput and is not."""
        try:
            return super().from_payload(payload, type_hint)
        except ValidationError as error:
            model = _operator_input(type_hint)
            if model is None:
                raise
            raise invalid_input(model, _one_line(error, model, payload.data)) from None


class _PayloadConverter(CompositePayloadConverter):
    def __init__(self) -> None:
        defaults = DefaultPayloadConverter.default_encoding_payload_converters
        super().__init__(*(_JsonConverter() if isinstance(c, JSONPlainPayloadConverter) else c for c in defaults))


class _FailureConverter(DefaultFailureConverter):
    """Answers to a human carry no stack trace."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Fill `failure` from the exception."""
        super().to_failure(exception, payload_converter, failure)
        if failure.application_failure_info.type in ONE_LINE:
            failure.stack_trace = ""
            failure.ClearField("cause")


data_converter = DataConverter(payload_converter_class=_PayloadConverter, failure_converter_class=_FailureConverter)
"""For every client and worker of Tideover."""


def _operator_input(hint: Any) -> type[OperatorInput] | None:
    for candidate in (hint, *get_args(hint)):
        if isinstance(candidate, type) and issubclass(candidate, OperatorInput):
            return candidate
    return None


def _one_line(error: ValidationError, model: type[OperatorInput], data: bytes) -> str:
    try:
        json.loads(data)
    except ValueError as broken:
        return f"the input is not JSON ({broken})"
    problems = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"] if part != model.__name__)
        if problem["type"] == "extra_forbidden":
            problems.append(f"unknown field {place!r}{did_you_mean(place, model.model_fields)}")
        elif problem["type"] == "missing":
            problems.append(f"the field {place!r} is missing")
        elif problem["type"] != "none_required":
            problems.append(f"{place or 'the input'}: {plain(problem['msg'])}")
    return "; ".join(problems)

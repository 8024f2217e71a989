"""Who speaks to an execution, and on which reasons something is taken for certain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from orchestrator.domain.commands import COMMANDS, MIN_REASON, Attest, Command, OperatorInput, person

COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
REST = {"to": "az-b", "plan": "0123456789ab", "step": "db.fence", "reason": "its cord is pulled"}


def said(model: type[OperatorInput], **fields: str) -> Command:
    wanted = {name: value for name, value in REST.items() if name in model.model_fields}
    return COMMAND.validate_python({"command": model.__name__.lower(), "by": "ann", **wanted, **fields})


@pytest.mark.parametrize("model", COMMANDS)
@pytest.mark.parametrize("nobody", ["", " ", "\t", "\u200b", "ann\u200b", "an\u00adn", "ann\x00"])
def test_nobody_says_nothing(model: type[OperatorInput], nobody: str) -> None:
    assert said(model).by == "ann"
    with pytest.raises(ValidationError, match=r"Nobody is named|cannot be seen"):
        said(model, by=nobody)


@given(st.text(max_size=20))
def test_a_word_needs_letters_that_weigh(reason: str) -> None:
    weighs = len(reason.strip()) >= MIN_REASON
    try:
        said(Attest, reason=reason)
    except ValidationError:
        assert not weighs
    else:
        assert weighs


@pytest.mark.parametrize("other", ["Ann", " ann ", "\uff21\uff2e\uff2e", "ann"])
def test_another_spelling_is_no_other_person(other: str) -> None:
    assert person(other) == person("ann")
    assert person("bob") != person("ann")

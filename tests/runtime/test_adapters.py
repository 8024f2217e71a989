"""From a resource of the plan to its adapter, and what is said where that cannot be had."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.domain.catalog import Catalog, NoSettings, ResourceType, Settings
from orchestrator.domain.errors import Doubtful, Misconfigured, NotFoundLocally, Rejected
from orchestrator.domain.plan import ResourceSpec
from orchestrator.domain.world import Power, Reading
from orchestrator.ports import Binding
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.credentials import ProfileCredentials

CANARY = "c4n4ry-s3cret"
READING = Reading(states=(Power(power="on"),), authority="test")


class Port(Settings):
    """One number."""

    port: int = 5


class Adapter:
    """Reads; or raises what it is told to."""

    error: Exception | None = None

    def __init__(self, binding: Binding[Any, Any]) -> None:
        self.binding = binding

    def observe(self) -> Reading:
        if self.error:
            raise self.error
        return READING.model_copy(update={"facts": {"user": self.binding.secret.get("user", "none")}})

    def apply(self, desired: Any, observed: Any, call: Any) -> None:  # noqa: ARG002 -- the port's
        if self.error:
            raise self.error


class Failing(Adapter):
    """Raises what an SDK might, with a secret in it."""

    error = KeyError(CANARY)


class Rejecting(Adapter):
    """Raises what the port allows."""

    error = Rejected("no such thing")


def kind(name: str, adapter: str) -> ResourceType:
    return ResourceType(name=name, serves="machine", adapter=adapter, settings=NoSettings, place=Port)


CATALOG = Catalog(
    types=(
        kind("good.thing", f"{__name__}:Adapter"),
        kind("failing.thing", f"{__name__}:Failing"),
        kind("rejecting.thing", f"{__name__}:Rejecting"),
        kind("absent.thing", "providers_that_is_not_there.thing:Thing"),
        kind("needy.thing", "needy_provider:Thing"),
        kind("renamed.thing", f"{__name__}:Nobody"),
    )
)


def adapters(environment: Mapping[str, str] | None = None) -> Adapters:
    return Adapters(CATALOG, ProfileCredentials(None, environment or {}))


def spec(type_: str, **more: Any) -> ResourceSpec:
    fields = {"settings": {}, "places": {"left": {"port": 7}}, "sites": {}, **more}
    return ResourceSpec(id="db@left:x", type=type_, thing="x", component="db", site="left", **fields)


def test_an_adapter_gets_validated_settings_and_resolved_secrets() -> None:
    opened = adapters({"TIDEOVER_SECRET_DB_USER": "app"}).open(spec("good.thing", credentials="db"))
    assert opened.observe().facts == {"user": "app"}


def test_a_missing_sdk_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match="uv sync --extra absent"):
        adapters().open(spec("absent.thing"))
    monkeypatch.setitem(sys.modules, "needy_provider", None)  # what an absent one looks like
    with pytest.raises(Misconfigured, match="uv sync --extra needy"):
        adapters().open(spec("needy.thing"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (spec("unheard.of"), "no provider declares the resource type 'unheard.of'"),
        (spec("good.thing", places={"left": {"port": "many"}}), "port"),
        (spec("good.thing", places={"left": {"prot": 5}}), "prot"),
        (spec("good.thing", credentials="absent"), "absent"),
        (spec("renamed.thing"), "Nobody"),
    ],
)
def test_what_cannot_be_opened_is_misconfigured_in_one_line(wrong: ResourceSpec, said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        adapters().open(wrong)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_in_settings_never_tells_their_values() -> None:
    with pytest.raises(Misconfigured) as caught:
        adapters().open(spec("good.thing", places={"left": {"port": CANARY}}))
    assert CANARY not in str(caught.value)


def test_an_unforeseen_error_is_doubtful_and_told_without_its_text() -> None:
    failing = adapters().open(spec("failing.thing"))
    for use in (failing.observe, lambda: failing.apply(Power(power="off"), READING, None)):  # type: ignore[arg-type]
        with pytest.raises(Doubtful) as caught:
            use()
        assert "KeyError" in str(caught.value)
        assert CANARY not in str(caught.value)
        assert caught.value.__cause__ is None


def test_an_error_of_the_port_comes_through_as_it_is() -> None:
    with pytest.raises(Rejected, match="no such thing"):
        adapters().open(spec("rejecting.thing")).observe()


def test_credentials_are_asked_for_only_where_they_are_named() -> None:
    class Never:
        def resolve(self, profile: str) -> Mapping[str, str]:
            raise NotFoundLocally(profile)

    assert Adapters(CATALOG, Never()).open(spec("good.thing")).observe()

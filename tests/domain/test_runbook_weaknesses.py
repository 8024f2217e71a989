"""What is weak in a runbook, fences above all: a warning, and the runbook can be used."""

from __future__ import annotations

import re

import pytest

from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import parse
from tests.domain.fences_in_runbooks import UNPROVEN, UUID, name_server_in, strong, with_fences
from tests.domain.valid_runbook import AWS, WORD, changed, findings, vouched, written

WARNS = "FENCE-PATH warning:"
ALONE = f"{WARNS} the fence of db at left has no way that is independent: "
BOARD = (
    f"{ALONE}what fence_ipmilan speaks to is fed by the machine that it cuts off, and says nothing once that has none"
)
BOARD_AT_RIGHT = BOARD.replace("left", "right").replace("fence_ipmilan", "fence_ilo4")
OUTLET = "{fence_agents: {agent: fence_wti, options: {plug: 4}, site: right}}"
IN_LEFT = "{fence_agents: {agent: fence_wti, options: {plug: 5}, site: left}}"
LOOSE = "{fence_agents: {agent: fence_wti, options: {plug: 4}, restores_power: true, site: right}}"
BOARD_AND_OUTLETS = [
    f"{{fence_agents: {{agent: {agent}, options: {{ip: 10.0.8.{number}}}}}}}"
    for number, agent in enumerate(("fence_ipmilan", "fence_wti", "fence_apc"), start=1)
]
ONE_OF_TWO = BOARD.replace("no way that is independent", "no two ways that are independent, as F3 asks for")
THIRD, SECOND = "the fence of db at left through fence_agents-3", "fence_agents-2"
WAY_OUT = re.compile("; (add another method|give the site).*")
WARNED: dict[str, tuple[str, list[str]]] = {
    "a controller on the board alone": (changed(), [f"11:39: {BOARD}", f"12:40: {BOARD_AT_RIGHT}"]),
    "another way beside it": (with_fences(OUTLET), []),
    "another way beside it after which the machine may come back": (
        with_fences(LOOSE),
        [f"11:39: {BOARD}; after {SECOND} the machine may come back by itself"],
    ),
    "one way beside it where two are asked for": (strong(*BOARD_AND_OUTLETS[:2]), [f"12:39: {ONE_OF_TWO}"]),
    "two ways beside it where two are asked for": (strong(*BOARD_AND_OUTLETS), []),
    "a controller on the board that has its own power": (with_fences("", "fault_domain: {power: standby-rail}"), []),
    "a controller on the board whose own power has a blank name": (
        with_fences("", 'fault_domain: {power: " "}'),
        [f"11:39: {BOARD}"],
    ),
    "a way from the lost site beside one from elsewhere": (
        with_fences(f"{OUTLET}, {IN_LEFT}"),
        [
            f"11:253: {WARNS} {THIRD} lives in left itself: tried all the same, but {SECOND} has to do it then",
        ],
    ),
    "the API of a region beside a zone of it": (AWS % ", zone: eu-west-1a", []),
    "the API of the region that is the site": (
        AWS % "",
        [f"9:17: {ALONE}EC2's API in eu-west-1 may be lost together with a site that is all of eu-west-1"],
    ),
}


@pytest.mark.parametrize(("text", "told"), WARNED.values(), ids=[name.replace(" ", "-") for name in WARNED])
def test_a_weakness_is_a_warning_and_the_runbook_can_be_used(text: str, told: list[str]) -> None:
    found = parse(text, "shop.yaml", catalog())
    assert found.valid()
    paths = [str(warning) for warning in found.warnings if warning.finding.code == "FENCE-PATH"]
    assert [WAY_OUT.sub("", warning) for warning in paths] == [f"shop.yaml:{t}" for t in told]


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        (
            changed(),
            "add another method, such as a switched outlet, or say under `fault_domain:` what it has of its own",
        ),
        (
            AWS % "",
            (
                "give the site its `zone:` where it is one; nothing else cuts off an instance, so with all of its "
                "region lost two people have to vouch for that"
            ),
        ),
    ],
    ids=["a controller on the board", "EC2"],
)
def test_the_way_out_of_a_weakness_is_one_that_there_is(text: str, way_out: str) -> None:
    told = [str(found) for found in parse(text, "shop.yaml", catalog()).warnings if WARNS in str(found)]
    assert {one.partition("; ")[2] for one in told} == {way_out}


def test_a_server_whose_files_are_not_told_is_a_warning() -> None:
    text = changed(("{host: 10.0.2.1,", "{host: 10.0.2.1, data_directory: /var/lib/postgresql/15/main,"))
    found = parse(text, "shop.yaml", catalog())
    assert found.valid()
    [told] = [str(warning) for warning in found.warnings if warning.finding.code == "MISSING"]
    assert told.startswith("shop.yaml:11:7: MISSING warning: without `data_directory:` this server can be promoted")


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("agent: fence_ipmilan", ["give the `uuid:` that `ipmitool mc guid` prints"]),
        (f"agent: fence_ipmilan, uuid: {UUID.replace('0f2c', '1f2c')}", []),
        (
            "agent: fence_wti, options: {plug: 4}",
            ["give as `alias:` what the agent's action `list` shows beside its plug, or use an agent that can tell"],
        ),
        ("agent: fence_wti, options: {plug: 4}, alias: pg-a", []),
    ],
)
def test_a_fence_that_cannot_tell_what_it_cuts_off_is_used_on_somebodys_word_only(method: str, told: list[str]) -> None:
    text = written(
        ("1.1, fence: [{fence_agents: {agent: fence_ipmilan", f"1.1, fence: [{{fence_agents: {{{method}"),
        ("agent: fence_ilo4", f"agent: fence_ilo4, uuid: {UUID}"),
    )
    word = "; where that cannot be, say by `unproven:` how it is known"
    assert findings(text) == [f"shop.yaml:11:39: {UNPROVEN}: {one}{word}" for one in told]
    found = parse(vouched(text), "shop.yaml", catalog())
    assert found.runbook
    ours = [str(warning) for warning in found.warnings if "FENCE-IDENTITY" in str(warning)]
    assert ours == [f"shop.yaml:11:39: {UNPROVEN.replace(' ', ' warning: ', 1)}; the runbook says: {WORD}"] * len(told)


def test_a_name_server_that_is_lost_with_the_standby_is_a_warning() -> None:
    found = parse(changed(("right: {provider", "right: {networks: [10.0.3.0/24], provider")), "shop.yaml", catalog())
    assert found.valid()
    assert f"shop.yaml:13:3: {name_server_in('right').replace(' ', ' warning: ', 1)}" in map(str, found.warnings)


def test_a_word_for_a_fence_says_something() -> None:
    [told, _] = findings(written(("agent: fence_ipmilan", "agent: fence_ipmilan, unproven: trust  ")))
    assert told == "shop.yaml:11:76: VALUE string should have at least 8 characters"


def test_a_method_from_the_lost_site_is_an_error_where_the_other_has_only_the_power_of_its_machine() -> None:
    [told] = findings(with_fences(IN_LEFT))
    assert "through fence_agents-2 lives in left itself" in told

"""Fence agents: the real fence_ipmilan against a real IPMI controller, and an agent of ours that places faults."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.domain.catalog import NoSettings, Site
from orchestrator.domain.errors import (
    Doubtful,
    GuardRefused,
    Misconfigured,
    NotFound,
    ProviderError,
    Unreachable,
    WrongIdentity,
)
from orchestrator.domain.world import Power, Role, State
from orchestrator.ports import Binding
from orchestrator.runtime.child import Ended
from providers.fence_agents import errors
from providers.fence_agents.ipmi import arguments
from providers.fence_agents.machine import Machine
from providers.fence_agents.spec import MachinePlace
from tests.providers.contract import IdentityContract, Mistaken, RecordedCall, ResourceContract, impatient, settle
from tests.providers.frozen import OverEtcd
from tests.providers.ipmi_machine import PASSWORD, USER, IpmiMachine

ON, OFF = Power(power="on"), Power(power="off")
AGENT = str(Path(__file__).parent / "agents" / "fence_faulty")
TOKEN = "hush-0815-canary"


def machine(agent: str, options: dict[str, str], secret: dict[str, str], **place: Any) -> Machine:
    settings = MachinePlace.model_validate({"agent": agent, "options": options, **place})
    return Machine(
        Binding(
            resource="machine/az-a",
            component="db",
            site="az-a",
            settings=NoSettings(),
            places={"az-a": settings},
            sites={"az-a": Site(provider="on-prem")},
            secret=secret,
        )
    )


def ipmilan(world: IpmiMachine, **place: Any) -> Machine:
    given: dict[str, Any] = {"status_timeout": "20s", "timeout": "20s", **place}
    return machine("fence_ipmilan", world.options, {"username": USER, "password": PASSWORD}, **given)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[IpmiMachine]:
    with IpmiMachine(tmp_path) as made:
        yield made


class IpmiHarness:
    secrets = (PASSWORD,)

    def __init__(self, world: IpmiMachine, start: Power, goal: Power) -> None:
        self._world, self.start, self.goal = world, start, goal
        self.resource = ipmilan(world)
        world.switch(start == ON)

    start: State
    goal: State

    def look(self) -> State:
        return ON if self._world.alive() else OFF

    def picture(self) -> object:
        return self._world.alive(), self._world.requests()

    @contextmanager
    def cut(self) -> Iterator[None]:
        with self._world.silent(), impatient(self, ipmilan(self._world, status_timeout="2s")):
            yield


class TestPowerOff(OverEtcd, ResourceContract):
    covers = "fence_agents.machine power off"

    @pytest.fixture
    def harness(self, world: IpmiMachine) -> IpmiHarness:
        return IpmiHarness(world, ON, OFF)


class TestPowerOn(ResourceContract):
    covers = "fence_agents.machine power on"

    @pytest.fixture
    def harness(self, world: IpmiMachine) -> IpmiHarness:
        return IpmiHarness(world, OFF, ON)


class TestAnotherController(IdentityContract):
    @pytest.fixture
    def mistaken(self, world: IpmiMachine) -> Mistaken:
        another = ipmilan(world, uuid="00000000-6745-23a1-efcd-ab89674523a1")
        return Mistaken(another, ipmilan(world).observe(), OFF, lambda: ON if world.alive() else OFF)


class TestAnotherOutlet(IdentityContract):
    @pytest.fixture
    def mistaken(self, tmp_path: Path) -> Mistaken:
        folder = Folder(tmp_path)
        another = folder.machine(alias="pg-b")
        return Mistaken(another, folder.machine().observe(), OFF, lambda: ON if folder.power == "on" else OFF)


class TestThroughIpmi:
    def test_the_reading_is_the_devices_own_and_off_stays_off(self, world: IpmiMachine) -> None:
        resource = ipmilan(world)
        before = resource.observe()
        assert (before.authoritative, before.latched) == (True, False)
        resource.apply(OFF, before, RecordedCall())
        after = resource.observe()
        assert (after.state("power"), after.authoritative, after.latched) == (OFF, True, True)
        assert after.authority == "fence_ipmilan on 127.0.0.1"
        assert world.requests()[-1] == "set power 0"

    def test_the_guid_of_the_controller_is_the_identity(self, world: IpmiMachine) -> None:
        guid = "efcdab89-6745-23a1-efcd-ab89674523a1"
        assert ipmilan(world, uuid=guid.upper()).observe().identity == guid

    def test_another_controller_at_the_address_is_refused_before_anything_is_sent(self, world: IpmiMachine) -> None:
        resource = ipmilan(world, uuid="00000000-6745-23a1-efcd-ab89674523a1")
        call = RecordedCall()
        with pytest.raises(WrongIdentity, match="is the controller of efcdab89-"):
            resource.apply(OFF, ipmilan(world).observe(), call)
        with pytest.raises(WrongIdentity):
            resource.observe()
        assert world.alive()
        assert call.guards == 0

    def test_a_wrong_password_is_no_state(self, world: IpmiMachine) -> None:
        resource = machine("fence_ipmilan", world.options, {"username": USER, "password": "wrong"})
        with pytest.raises(Doubtful, match=r"Unable to obtain correct plug status.*password"):
            resource.observe()
        with pytest.raises(Doubtful, match="off ended with exit 1"):
            resource.apply(OFF, ipmilan(world).observe(), RecordedCall())
        assert world.alive()

    def test_a_missing_option_is_found_by_the_check(self) -> None:
        with pytest.raises(Misconfigured, match="You have to enter fence address"):
            machine("fence_ipmilan", {"lanplus": "1"}, {}).observe()

    def test_an_option_that_the_agent_ignores_is_a_warning(self, world: IpmiMachine) -> None:
        options = {**world.options, "pulg": "3"}
        reading = machine("fence_ipmilan", options, {"username": USER, "password": PASSWORD}).observe()
        assert len(reading.warnings) == 1
        assert "'pulg'" in reading.warnings[0]


class Folder:
    """The world of our own agent: a machine that is a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "power").write_text("on")
        (path / "actions").touch()

    def machine(self, fault: str = "", **place: Any) -> Machine:
        options = {"folder": str(self.path), "plug": "7", "fault": fault}
        patience = "3s" if "hang" in fault else "30s"
        given: dict[str, Any] = {"timeout": patience, "status_timeout": "30s", **place}
        return machine(AGENT, options, {"token": TOKEN}, **given)

    @property
    def power(self) -> str:
        return (self.path / "power").read_text()

    @property
    def actions(self) -> list[str]:
        return (self.path / "actions").read_text().split()

    def child_is_gone(self) -> bool:
        status = Path("/proc", (self.path / "child").read_text(), "status")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if not status.exists() or "\nState:\tZ" in status.read_text():
                return True
            time.sleep(0.02)
        return False


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


class TestTheAliasOfAPlug:
    def test_it_is_the_identity_and_the_machine_is_switched(self, folder: Folder) -> None:
        resource = folder.machine(alias="pg-a")
        before = resource.observe()
        assert before.identity == "pg-a"
        resource.apply(OFF, before, RecordedCall())
        assert folder.power == "off"

    def test_a_label_that_was_changed_meanwhile_is_seen_by_the_next_look(self, folder: Folder) -> None:
        resource = folder.machine(alias="pg-a")
        resource.observe()
        (folder.path / "label").write_text("web-7")
        with pytest.raises(WrongIdentity, match=r"shows web-7 at the plug, and not pg-a: correct `plug` or `alias`"):
            resource.observe()

    def test_a_plug_that_the_device_does_not_show_is_told(self, folder: Folder) -> None:
        resource = machine(AGENT, {"folder": str(folder.path), "plug": "9"}, {"token": TOKEN}, alias="pg-a")
        with pytest.raises(NotFound, match="shows no plug '9' among 6, 7, 8"):
            resource.observe()
        assert folder.power == "on"

    def test_it_needs_a_plug(self) -> None:
        with pytest.raises(ValidationError, match="give that as well, under `options:`"):
            MachinePlace(agent="fence_apc", alias="pg-a")


class TestAFailedSwitchProvesNothing:
    @pytest.mark.parametrize("fault", ["fail after", "killed after", "hang after"])
    def test_a_lost_answer_is_doubtful_and_the_next_reading_tells(self, folder: Folder, fault: str) -> None:
        resource = folder.machine(fault)
        with pytest.raises(Doubtful, match=r"off .*it may still take effect") as caught:
            resource.apply(OFF, resource.observe(), RecordedCall())
        assert not caught.value.surely_not_done
        assert resource.observe().satisfies(OFF)
        assert folder.actions.count("off") == 1

    def test_an_agent_that_hangs_is_killed_with_its_children(self, folder: Folder) -> None:
        resource = folder.machine("hang before")
        began = time.monotonic()
        with pytest.raises(Doubtful, match="killed when its time was up"):
            resource.apply(OFF, resource.observe(), RecordedCall())
        assert time.monotonic() - began < 20
        assert folder.child_is_gone()
        assert resource.observe().satisfies(ON)

    def test_the_attempts_deadline_bounds_the_agent(self, folder: Folder) -> None:
        resource = folder.machine("hang before", timeout="60s")
        began = time.monotonic()
        with pytest.raises(Doubtful):
            resource.apply(OFF, resource.observe(), RecordedCall(remaining=1.0))
        assert time.monotonic() - began < 20

    def test_a_refusing_guard_starts_no_agent(self, folder: Folder) -> None:
        resource = folder.machine()
        before = resource.observe()
        with pytest.raises(GuardRefused):
            resource.apply(OFF, before, RecordedCall(allowed=0))
        assert folder.actions == ["status"]


class TestAStatusThatIsNone:
    def test_a_hanging_status_is_unreachable(self, folder: Folder) -> None:
        with pytest.raises(Unreachable, match="no status in time"):
            folder.machine("status hangs", status_timeout="3s").observe()
        assert folder.child_is_gone()

    @pytest.mark.parametrize("fault", ["interpreter fails", "bad arguments", "contradiction"])
    def test_exit_2_is_not_off_where_anything_speaks_against_it(self, folder: Folder, fault: str) -> None:
        with pytest.raises(Doubtful) as caught:
            folder.machine(fault).observe()
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("power", ["on", "off"])
    def test_an_agent_that_says_nothing_is_believed_by_its_exit_code(self, folder: Folder, power: str) -> None:
        (folder.path / "power").write_text(power)
        assert folder.machine("silent").observe().state("power") == Power(power=power)


class TestWhatIsGivenToTheAgent:
    def test_only_the_three_actions_are_asked_and_never_reboot(self, folder: Folder) -> None:
        resource = folder.machine()
        for goal in (OFF, ON):
            resource.apply(goal, resource.observe(), RecordedCall())
            settle(resource, goal)
        assert folder.power == "on"
        assert set(folder.actions) == {"status", "off", "on"}

    def test_nothing_but_power_is_switched(self, folder: Folder) -> None:
        resource = folder.machine()
        with pytest.raises(Misconfigured, match="sets power and cannot make it role primary"):
            resource.apply(Role(role="primary"), resource.observe(), RecordedCall())
        assert folder.actions == ["status"]

    def test_options_and_secrets_stand_where_no_other_user_reads_them(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOME_API_TOKEN", "hush-of-the-worker")
        folder.machine().observe()
        exposed = (folder.path / "exposed").read_text()
        assert AGENT in exposed  # the positive control: this is what others see
        assert not [text for text in (TOKEN, "folder=", "hush-of-the-worker") if text in exposed]

    def test_a_secret_that_the_agent_echoes_is_not_shown(self, folder: Folder) -> None:
        with pytest.raises(ProviderError) as caught:
            folder.machine("echo").observe()
        assert "tokn=[token]" in str(caught.value)
        assert TOKEN not in str(caught.value)

    def test_a_warning_names_the_ignored_option_and_not_its_value(self, folder: Folder) -> None:
        assert folder.machine("unknown option").observe().warnings == (
            f"{AGENT} does not know the option 'tokn' and ignores it: correct it under `options:`",
        )

    def test_the_authority_names_agent_address_and_plug(self, folder: Folder) -> None:
        assert folder.machine().observe().authority == "fence_faulty (plug 7)"
        other = machine("fence_apc", {"ip": "10.9.0.11", "plug": "3"}, {})
        assert other.authority == "fence_apc on 10.9.0.11 (plug 3)"

    def test_a_machine_that_may_start_again_is_off_and_not_latched(self, folder: Folder) -> None:
        (folder.path / "power").write_text("off")
        assert folder.machine().observe().latched
        assert not folder.machine(restores_power=True).observe().latched


class TestWrongSettings:
    def test_a_missing_agent_names_the_path_and_the_package(self) -> None:
        absent = machine("fence_nowhere", {}, {})
        with pytest.raises(Misconfigured, match=r"not on PATH \(.*/usr/sbin.*apt-get install fence-agents"):
            absent.observe()

    def test_a_file_that_cannot_be_run_is_named(self, tmp_path: Path) -> None:
        broken = tmp_path / "fence_broken"
        broken.write_text("no program")
        broken.chmod(0o755)
        with pytest.raises(Misconfigured, match="fence_broken cannot be run"):
            machine(str(broken), {}, {}).observe()

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"action": "reboot"}, "decided by the plan"),
            ({"password": "x"}, "credentials:"),
            ({"hexadecimal-kg": "x"}, "credentials:"),
            ({"ip": "10.0.0.1\naction=reboot"}, "one line"),
            ({"plug": 1.5}, "string"),
        ],
    )
    def test_options_that_must_not_stand_in_a_runbook(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            MachinePlace(agent="fence_ipmilan", options=options)

    def test_yaml_numbers_and_truths_become_text(self) -> None:
        place = MachinePlace.model_validate({"agent": "fence_apc", "options": {"plug": 3, "lanplus": True}})
        assert place.options == {"plug": "3", "lanplus": "1"}

    def test_a_uuid_needs_an_agent_that_can_tell_it(self) -> None:
        with pytest.raises(ValidationError, match="uuid cannot be read through fence_apc"):
            MachinePlace(agent="fence_apc", uuid="0f2c1d6e-4b7a-4c39-9d52-6a1e8b3f7c10")

    @pytest.mark.parametrize("given", ["", "pg-a", "0f2c1d6e-4b7a-4c39-9d52-6a1e8b3f7c1g", "0f2c1d6e4b7a"])
    def test_a_uuid_that_no_controller_can_have_is_refused(self, given: str) -> None:
        with pytest.raises(ValidationError, match="is no GUID: write the 32 digits"):
            MachinePlace(agent="fence_ipmilan", uuid=given)

    @pytest.mark.parametrize("value", ["two\nlines", " padded "])
    def test_a_secret_that_does_not_fit_a_line_is_refused(self, value: str) -> None:
        with pytest.raises(Misconfigured, match="'password' of the credential profile") as caught:
            machine("fence_apc", {}, {"password": value})
        assert value not in str(caught.value)

    def test_an_option_given_twice_is_refused(self) -> None:
        with pytest.raises(Misconfigured, match="keep one"):
            machine("fence_apc", {"username": "x"}, {"username": "y"})


class TestTheErrorMap:
    def test_every_text_of_the_installed_library_is_mapped(self) -> None:
        source = Path("/usr/share/fence/fencing.py").read_text()
        table = source.partition("def fail(")[2].partition("}[error_code]")[0]
        texts = re.findall(r'EC_\w+\s*:\s*"([^"]+)"', table)
        assert len(texts) >= 10
        ours = [phrase for phrase, _, _ in errors.STATUS_TEXTS]
        # These two come from `off` and `on` alone, where no text decides.
        unmapped = [text for text in texts if "waiting to power" not in text and not any(p in text for p in ours)]
        assert unmapped == []

    @pytest.mark.parametrize(("phrase", "meaning"), [(p, m) for p, m, _ in errors.STATUS_TEXTS])
    def test_a_text_becomes_its_error(self, phrase: str, meaning: type[ProviderError]) -> None:
        found = errors.status_failed("agent", Ended(1, "", f"2026-01-01 00:00:00,0 ERROR: {phrase} it\n\n"), {})
        assert type(found) is meaning
        assert phrase in str(found)

    def test_an_unknown_text_is_doubtful(self) -> None:
        assert type(errors.status_failed("agent", Ended(1, "", "Segmentation fault"), {})) is Doubtful
        assert type(errors.status_failed("agent", Ended(-9, "", ""), {})) is Doubtful

    def test_no_text_of_a_failed_switch_is_believed(self) -> None:
        for phrase, _, _ in errors.STATUS_TEXTS:
            assert type(errors.switch_failed("agent", "off", Ended(1, "", phrase), {})) is Doubtful


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"ip": "10.0.0.1", "plug": "3"}, {"ipaddr": "10.0.0.1", "port": "3"}, True),
        ({"ip": "10.0.0.1", "plug": "3", "power_wait": "1"}, {"ip": "10.0.0.1", "plug": 3, "lanplus": True}, True),
        ({"ip": "10.0.0.1", "plug": "3"}, {"ip": "10.0.0.1", "plug": "4"}, False),
        ({"ip": "10.0.0.1", "plug": "3"}, {"ip": "10.0.0.2", "plug": "3"}, False),
    ],
)
def test_an_outlet_is_one_thing_however_a_runbook_spells_it(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    """Two groups that name one outlet exclude each other (I6)."""
    first, second = (MachinePlace.model_validate({"agent": "fence_apc", "options": o}).thing for o in (one, other))
    assert (first == second) is same


@pytest.mark.parametrize(
    ("agent", "options", "interface"),
    [
        ("fence_ipmilan", {}, "lan"),
        ("fence_ipmilan", {"lanplus": "1"}, "lanplus"),
        ("fence_ilo4", {}, "lanplus"),
        ("/usr/sbin/fence_ilo5", {}, "lanplus"),
        ("fence_ilo5", {"lanplus": "0"}, "lan"),
    ],
)
def test_the_guid_is_asked_for_as_the_agent_asks(agent: str, options: dict[str, str], interface: str) -> None:
    assert arguments(agent, options)[:2] == ["-I", interface]

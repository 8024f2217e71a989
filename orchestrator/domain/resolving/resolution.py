"""What resolving has found so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from orchestrator.domain.catalog import Catalog, ResourceType, Settings
from orchestrator.domain.findings import Finding, check_model
from orchestrator.domain.plan import ResourceSpec
from orchestrator.domain.runbook import Component, Runbook

Path = tuple[str | int, ...]
Places = dict[str, dict[str, Any]]

CORE_KEYS = ("type", "needs", "credentials", "server", "at")
FENCED_KEYS = (*CORE_KEYS, "fencing")
PLACE_KEYS = ("fence", "machine", "fault_domain")


@dataclass
class Resolution:
    """Every resource of a runbook, and what is wrong with the ones that are missing.

    instances: (component, site) to the component's own resource there; for a shared one the same at both sites.
    fences: (component, site) to the fence methods there, in order.
    probes: the resource of each verification, in order.
    """

    runbook: Runbook
    catalog: Catalog
    specs: dict[str, ResourceSpec] = field(default_factory=dict)
    instances: dict[tuple[str, str], str] = field(default_factory=dict)
    fences: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    probes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def find(self, code: str, path: Path, message: str, level: Literal["error", "warning"] = "error") -> None:
        """Note that something is wrong at `path`."""
        self.findings.append(Finding(level=level, code=code, path=path, message=message))

    @property
    def errors(self) -> list[Finding]:
        """The findings with which nothing can be derived."""
        return [finding for finding in self.findings if finding.level == "error"]

    def validate(self, model: type[BaseModel], value: Mapping[str, Any], path: Path, also: Iterable[str] = ()) -> None:
        """Note every way in which `value` does not fit `model`, and what will be missed. `also`: keys that the core
        reads at this place."""
        keys, wrong = check_model(model, value, path, also)
        self.findings += wrong
        if isinstance(keys, Settings) and keys.lacks:
            self.find("MISSING", path, keys.lacks, "warning")

    def serving(self, component: Component, site: str) -> ResourceType | None:
        """The type that implements `component` at `site`."""
        selector = component.server if component.type == "dns" else self.runbook.sites[site].provider
        return self.catalog.serving(component.type, selector)

    def place(self, component: Component, site: str) -> dict[str, Any]:
        """The keys under `at: <site>:` that belong to the component's own resource, not to its fence."""
        kind = self.serving(component, site)
        own = set(kind.place.model_fields) if kind else set()
        return {k: v for k, v in component.at.get(site, {}).items() if k not in PLACE_KEYS or k in own}

    def add(self, spec: ResourceSpec) -> None:
        """Keep a resource, whose keys are all known now."""
        kind = self.catalog.get(spec.type)
        if kind.regional:
            self._judge_region(spec)
        if kind.secret and not spec.credentials:
            message = f"{kind.name} needs `credentials:`, the name of a profile with {' and '.join(kind.secret)}"
            self.find("MISSING", ("components", spec.component), message)
        keys = self.keys(spec)
        if keys and spec.site is None:
            self._judge_path(spec, keys)
        self.specs[spec.id] = spec.model_copy(update={"thing": keys.thing if keys else ""})

    def _judge_region(self, spec: ResourceSpec) -> None:
        """What stands in a region has one, and only one."""
        regions = {site: self.runbook.sites[site].region for site in ([spec.site] if spec.site else spec.places)}
        for site in (site for site, region in regions.items() if not region):
            missing = Finding(code="MISSING", path=("sites", site), message=f"{spec.type} there needs its `region:`")
            self.findings += [missing] if missing not in self.findings else []
        if len(set(filter(None, regions.values()))) > 1:
            message = (
                f"{spec.type} exists in one region only, and its sites are in {', '.join(map(str, regions.values()))}"
            )
            self.find("NO-TYPE", ("components", spec.component), f"{message}: use `dns` between regions")

    def _judge_path(self, spec: ResourceSpec, keys: Settings) -> None:
        """What the sites share is changed from outside of them (I13): warned of where only the way back is not."""
        home, standby = self.runbook.direction
        levels: dict[str, Literal["error", "warning"]] = {home: "error", standby: "warning"}
        for site, level in levels.items():
            for address in keys.addresses:
                if network := self.runbook.sites[site].network_of(address):
                    told = f"{spec.component} is changed at {address}, in the network {network} of {site}"
                    told += f", and cannot be when {site} is lost: name a server that stands in neither site"
                    self.find("RECOVERY-PATH", ("components", spec.component), told, level)

    def spec(self, resource: str, kind: ResourceType, component: str, site: str | None, places: Places) -> ResourceSpec:
        """A resource of `kind`, without settings and credentials yet."""
        return ResourceSpec(
            id=resource,
            type=kind.name,
            thing="",
            component=component,
            site=site,
            settings={},
            places=places,
            sites=dict(self.runbook.sites),
            late_effect=kind.late_effect,
            compare_and_set=kind.compare_and_set,
            stale_reads=kind.stale_reads,
        )

    def keys(self, spec: ResourceSpec) -> Settings | None:
        """The keys that name the resource: its place at its site, or what its sites share. None where they are wrong:
        `validate` has noted why, and nothing is derived from them."""
        kind = self.catalog.get(spec.type)
        model, keys = (kind.settings, spec.settings) if spec.site is None else (kind.place, spec.places[spec.site])
        try:
            return model.model_validate(keys)
        except ValidationError:
            return None

"""Every finding in a runbook, from its text's values alone: no network, no SDK."""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from orchestrator.domain.catalog import Catalog
from orchestrator.domain.component_types import TYPES
from orchestrator.domain.findings import Finding, check_model, unknown
from orchestrator.domain.resolving import resolve
from orchestrator.domain.runbook import VERIFICATION, Runbook

_NAME = re.compile(r"[^\W_][\w-]{0,40}")


def lint(value: Mapping[str, Any], catalog: Catalog) -> tuple[Runbook | None, list[Finding]]:
    """The runbook that `value` describes and what is wrong with it; no runbook where its shape is wrong."""
    model, findings = check_model(Runbook, value, ())
    if not isinstance(model, Runbook):
        return None, findings
    findings = [*_names(model), *_references(model), *_providers(model, catalog), *_cycles(model), *_gates(model)]
    if findings:
        return model, findings
    resolution = resolve(model, catalog)
    return model, resolution.findings if resolution.errors else [*_leads_to_nothing(model), *resolution.findings]


def _references(runbook: Runbook) -> list[Finding]:
    findings = []
    for site in runbook.direction:
        if site not in runbook.sites:
            message = unknown(site, runbook.sites, "site")
            findings.append(Finding(code="REFERENCE", path=("failover",), message=message))
    if runbook.direction[0] == runbook.direction[1]:
        findings.append(Finding(code="REFERENCE", path=("failover",), message="the two sites are the same"))
    home, standby = runbook.direction
    moves = home != standby and {home, standby} <= runbook.sites.keys()
    for name, component in runbook.components.items():
        for index, needed in enumerate(component.needs):
            if needed not in runbook.components:
                message = unknown(needed, runbook.components, "component")
                findings.append(Finding(code="REFERENCE", path=("components", name, "needs", index), message=message))
        for site in component.at:
            if site not in runbook.sites:
                message = unknown(site, runbook.sites, "site")
                findings.append(Finding(code="REFERENCE", path=("components", name, "at", site), message=message))
            elif moves and site not in (home, standby):
                message = (
                    f"nothing moves to {site}, so nothing reads what {name} has there: remove it, or name the site"
                )
                path = ("components", name, "at", site)
                findings.append(Finding(code="UNKNOWN-KEY", path=path, message=f"{message} in `failover:`"))
    return findings


def _providers(runbook: Runbook, catalog: Catalog) -> list[Finding]:
    """A provider that nobody has heard of, also where nothing is asked of it yet."""
    known = catalog.site_providers()
    return [
        Finding(
            code="REFERENCE", path=("sites", name, "provider"), message=unknown(site.provider, known, "site provider")
        )
        for name, site in runbook.sites.items()
        if site.provider not in known
    ]


def _gates(runbook: Runbook) -> list[Finding]:
    """A gate that nothing would ever reach, or that another one stands in front of."""
    promotes = any(c.type in TYPES and TYPES[c.type].writers == "one" for c in runbook.components.values())
    message = "nothing is promoted here: no component has a single writer; remove the gate, or use `before: fence`"
    unreached = [
        Finding(code="VALUE", path=("gates", index, "before"), message=message)
        for index, gate in enumerate(runbook.gates)
        if gate.before == "promote" and not promotes
    ]
    kinds = [gate.before for gate in runbook.gates]
    return unreached + [
        Finding(code="VALUE", path=("gates", index, "before"), message=f"there is a gate before `{kind}` already")
        for index, kind in enumerate(kinds)
        if kind in kinds[:index]
    ]


def _names(runbook: Runbook) -> list[Finding]:
    """Names that would be taken for something else: the IDs of steps and resources are made of them."""
    named = [("sites", name) for name in runbook.sites] + [("components", name) for name in runbook.components]
    how = "use letters, digits, '-' and '_', at most 41 of them, and a letter or digit first"
    wrong = [
        Finding(code="VALUE", path=path, message=f"{path[1]!r} is no name: {how}")
        for path in named
        if not _NAME.fullmatch(path[1])
    ]
    return wrong + [
        Finding(code="VALUE", path=("components", name), message=f"{name!r} is what a verification is called")
        for name in runbook.components
        if VERIFICATION.fullmatch(name)
    ]


def _cycles(runbook: Runbook) -> list[Finding]:
    try:
        TopologicalSorter({name: c.needs for name, c in runbook.components.items()}).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        return [Finding(code="CYCLE", path=("components",), message=f"components need each other: {circle}")]
    return []


def _leads_to_nothing(runbook: Runbook) -> list[Finding]:
    """Names that a writer relies on, so that they move before it, with nothing behind them that serves then (I10)."""
    findings = []
    kinds = {name: TYPES[component.type] for name, component in runbook.components.items()}
    for name, component in runbook.components.items():
        writers = [one for one, kind in kinds.items() if kind.writers == "one" and name in runbook.relied_on(one)]
        serves = any(kinds[one].fenced for one in runbook.relied_on(name))
        if component.type == "dns" and writers and not serves:
            message = f"{writers[0]} relies on {name}, and so clients would be led to a site before it serves them"
            way_out = f"turn that around, or let {name} need what it leads to"
            findings.append(Finding(code="ORDER", path=("components", name), message=f"{message}: {way_out}"))
    return findings

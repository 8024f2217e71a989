"""The lab as the program under test is told about it: runbook, credential profiles, environment."""

from __future__ import annotations

import json
from typing import Any

from ruamel.yaml import YAML

from tests.e2e.lab import access, bmc, database, names
from tests.e2e.lab.world import HOSTS, Lab

DATABASE_CREDENTIALS, FENCE_CREDENTIALS, DNS_CREDENTIALS = "lab-db", "lab-bmc", "lab-dns"


def runbook(lab: Lab) -> dict[str, Any]:
    """The lab's service: a database on two machines, the floating address and the name that clients use."""
    return {
        "runbook": f"lab-{lab.numbering.number}",
        "owner": "lab",
        "objectives": {"rto": "30s", "rpo": "5s"},
        "sites": {site: {"provider": "on-prem"} for site, _ in HOSTS.values()},
        "failover": " -> ".join(site for site, _ in HOSTS.values()),
        "components": {
            "db": {
                "type": "postgresql",
                "credentials": DATABASE_CREDENTIALS,
                "user": database.SUPERUSER,
                "replication_user": database.REPLICATION_USER,
                "database": database.DATABASE,
                "at": {site: _database_at(lab, host) for host, (site, _) in HOSTS.items()},
            },
            "address": {
                "type": "floating-ip",
                "needs": ["db"],
                "address": f"{lab.floating}/24",
                "at": {site: {"ssh": _ssh(lab, host), "interface": "eth0"} for host, (site, _) in HOSTS.items()},
            },
            "name": {
                "type": "dns",
                "needs": ["db"],
                "credentials": DNS_CREDENTIALS,
                "server": "rfc2136",
                "zone": names.ZONE,
                "record": names.RECORD,
                "ttl": f"{names.TTL}s",
                "primary": lab.name_servers[0],
                "authorities": list(lab.name_servers),
                "at": {site: {"a": lab.address(host)} for host, (site, _) in HOSTS.items()},
            },
        },
        "verify": [{"sql": "select 1", "component": "db", "within": "30s"}],
    }


def credentials() -> dict[str, dict[str, str]]:
    """Every profile that the runbook names; each value is a canary that must never be shown (I14)."""
    return {
        DATABASE_CREDENTIALS: {
            "password": database.SUPERUSER_PASSWORD,
            "replication_password": database.REPLICATION_PASSWORD,
        },
        FENCE_CREDENTIALS: {"username": bmc.USERNAME, "password": bmc.PASSWORD},
        DNS_CREDENTIALS: {"key_name": names.UPDATE_KEY, "algorithm": "hmac-sha256", "key": names.UPDATE_SECRET},
    }


def secrets() -> set[str]:
    """What must be found nowhere outside of the file of profiles."""
    public = {"username", "key_name", "algorithm"}
    return {value for fields in credentials().values() for name, value in fields.items() if name not in public}


def write(lab: Lab, **changes: Any) -> dict[str, str]:
    """Runbook and profiles stand in files of the lab; what comes back is what a worker's environment needs to use them.

    `changes` replace keys of the runbook. Journal and reports are the lab's own too, and go with it.
    """
    home = lab.directory / "worker"
    (home / "runbooks").mkdir(parents=True, exist_ok=True)
    book = {**runbook(lab), **changes}
    with (home / "runbooks" / f"{book['runbook']}.yaml").open("w") as out:
        YAML().dump(book, out)
    profiles = home / "credentials.toml"
    profiles.touch(mode=0o600)
    profiles.write_text("".join(_profile(name, fields) for name, fields in credentials().items()))
    return {
        "TIDEOVER_RUNBOOKS": json.dumps([str(home / "runbooks")]),
        "TIDEOVER_CREDENTIALS": str(profiles),
        "TIDEOVER_JOURNAL": str(home / "journal.db"),
        "TIDEOVER_REPORTS": str(home / "reports"),
        "TIDEOVER_SSH_CONFIG": str(access.client_configuration(lab.directory)),
    }


def _profile(name: str, fields: dict[str, str]) -> str:
    return f"[{name}]\n" + "".join(f"{field} = {json.dumps(value)}\n" for field, value in fields.items())


def _database_at(lab: Lab, host: str) -> dict[str, Any]:
    controller = lab.bmcs[host]
    return {
        "host": lab.address(host),
        "data_directory": str(database.DATA),
        "ssh": _ssh(lab, host),
        "run_as": "postgres",
        "fence": [
            {
                "fence_agents": {
                    "agent": "fence_ipmilan",
                    "options": controller.options,
                    "uuid": controller.uuid,
                    "status_timeout": "5s",  # a controller that is cut off would keep ipmitool waiting for 15 s
                    "credentials": FENCE_CREDENTIALS,
                }
            }
        ],
    }


def _ssh(lab: Lab, host: str) -> str:
    return f"root@{lab.address(host)}"

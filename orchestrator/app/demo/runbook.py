"""The demo's runbook: runbooks/demo.yaml with the directories and ports of this demo, and nothing else changed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from orchestrator.app.demo.cluster import Server
from orchestrator.app.examples import example

NAME = "demo.yaml"
DATABASE_CREDENTIALS, DNS_CREDENTIALS = "demo-db", "demo-dns"


def concrete(servers: dict[str, Server], agent: Path) -> str:
    """The example's text, with `servers` (by site) and the fence agent in place of the fixed ones."""
    yaml = YAML()
    document: Any = yaml.load(example(NAME).read_text())
    for site, server in servers.items():
        host, place = server.host, document["components"]["db"]["at"][site]
        place["host"], place["port"] = server.address, server.port
        place["data_directory"], place["bin_directory"] = str(host.data_directory), str(host.bin_directory)
        if server.account.is_other:
            place.insert(list(place).index("fence"), "run_as", server.account.name)
        fence = place["fence"][0]["fence_agents"]
        fence["agent"] = str(agent)
        fence["options"]["plug"], fence["options"]["power_dir"] = host.name, str(host.directory.parent)
        fence["alias"] = str(host.directory)
        document["components"]["name"]["at"][site]["a"] = server.address
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(document, text)
    return text.getvalue()

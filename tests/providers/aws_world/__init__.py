"""An AWS on loopback for tests and demonstrations: moto's server behind a layer that is as strict as AWS is.

    client ──▶ strict port ──▶ faults (faults.py) ──▶ corrections (route53.py, ec2.py) ──▶ moto
    tests  ──▶ plain port ────────────────────────────────────────────────────────────────▶ moto

The plain port is how tests look at the world without the adapter, and how they show that moto alone lets pass what a
correction refuses. `python -m tests.providers.aws_world` serves both ports until it is stopped.
"""

from tests.providers.aws_world.faults import Fault
from tests.providers.aws_world.world import AwsWorld

__all__ = ["AwsWorld", "Fault"]

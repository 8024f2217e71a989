"""Serves an AWS world until SIGTERM or Ctrl-C; the first line on stdout is JSON with both endpoints."""

import argparse
import json
import signal
import sys

from tests.providers.aws_world.world import AwsWorld


def main() -> None:
    """Both ports answer until the process is told to end."""
    parser = argparse.ArgumentParser(prog="python -m tests.providers.aws_world", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the strict endpoint; 0 takes a free one")
    parser.add_argument("--pending-reads", type=int, default=2, help="how often a change is PENDING before INSYNC")
    parser.add_argument("--transition-reads", type=int, default=2, help="how often an instance is seen on its way")
    given = parser.parse_args()
    world = AwsWorld(port=given.port, pending_reads=given.pending_reads, transition_reads=given.transition_reads)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with world:
        sys.stdout.write(json.dumps({"url": world.url, "plain_url": world.plain_url}) + "\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()

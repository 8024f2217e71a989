"""`python -m orchestrator.app.cli` is the command `tideover`."""

from orchestrator.app.cli import main

main()

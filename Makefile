# Each target does all of its own set-up and says what it is doing. ARGS reaches the command: make test ARGS="-k engine"
.PHONY: help demo test faults soak check bench setup clean
.SILENT:

help:
	echo "make demo    a real failover on this machine: no root, no cloud, no Docker"
	echo "make test    the whole test suite; as root on Debian with the end-to-end lab"
	echo "make faults  every process fault at every step boundary, on the lab; takes hours. SCHEDULE='...': that one"
	echo "make soak    random schedules of process faults for MINUTES=10, or the one of SEED=..."
	echo "make check   style, types, import directions, licences"
	echo "make bench   what the orchestration costs, as ratios"
	echo "make setup   the locked environment and a Temporal server, and no more"
	echo "make clean   removes what these commands made here"

demo:
	scripts/demo $(ARGS)

test:
	scripts/test $(ARGS)

faults:
	scripts/faults $(ARGS)

soak:
	scripts/soak

check:
	scripts/check

bench:
	scripts/bench $(ARGS)

setup:
	scripts/setup

clean:
	rm -rf .venv .tideover reports .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

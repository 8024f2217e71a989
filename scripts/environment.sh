#!/usr/bin/env bash
# Sourced by the other scripts: the locked environment stands in .venv, and `uv` is on PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '[setup] %s\n' "$*" >&2; }

tools="$PWD/.tideover/tools"
PATH="$PATH:$tools/bin"

if ! command -v uv >/dev/null; then
    say "uv is not on PATH: installing it from PyPI into .tideover/tools"
    rm -rf "$tools"
    # Debian has venv and pip in packages of their own; either one will do, and --target leaves the system's pip alone.
    if ! { python3 -m venv "$tools" && "$tools/bin/python" -m pip install --quiet uv; } >/dev/null 2>&1; then
        rm -rf "$tools"
        if ! PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --target "$tools" uv; then
            say "neither 'python3 -m venv' nor 'python3 -m pip' could install uv: see above, or install uv and try again"
            exit 1
        fi
    fi
    hash -r
fi

if ! uv sync --locked --all-extras --check --quiet 2>/dev/null; then
    say "making the locked environment in .venv ($(uv --version))"
    uv sync --locked --all-extras --compile-bytecode
fi
# Some machines forbid Python to keep what it compiles; then every start would compile Tideover again.
.venv/bin/python -m compileall -q orchestrator workflows providers tideover

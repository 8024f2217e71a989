"""What the suites of all providers share."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.providers.contract", "tests.providers.frozen")

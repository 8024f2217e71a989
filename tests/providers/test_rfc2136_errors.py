"""The map from dnspython's exceptions and the answers' codes to our errors."""

from __future__ import annotations

import dns.rcode
import dns.tsig
import pytest

from orchestrator.domain.errors import AuthenticationFailed, Doubtful, ProviderError
from providers.rfc2136 import errors


class TestTheErrorMap:
    def test_every_tsig_error_is_mapped(self) -> None:
        defined = {
            kind for kind in vars(dns.tsig).values() if isinstance(kind, type) and issubclass(kind, dns.tsig.PeerError)
        }
        assert len(defined) >= 5
        for kind in defined:
            assert type(errors.from_exception("ns", kind())) is AuthenticationFailed

    @pytest.mark.parametrize(("kind", "meaning"), [(kind, meaning) for kind, meaning, _ in errors.EXCEPTIONS])
    def test_an_exception_becomes_its_error(self, kind: type[Exception], meaning: type[ProviderError]) -> None:
        assert type(errors.from_exception("ns", kind())) is meaning

    def test_what_is_not_mapped_is_doubtful(self) -> None:
        assert type(errors.from_exception("ns", RuntimeError("new"))) is Doubtful
        for code in dns.rcode.Rcode:
            expected = errors.CODES[code][0] if code in errors.CODES else Doubtful
            assert type(errors.from_code("ns", code)) is expected

    def test_no_error_claims_that_a_failing_server_did_nothing(self) -> None:
        assert not errors.from_code("ns", dns.rcode.SERVFAIL).surely_not_done
        assert not errors.from_exception("ns", TimeoutError()).surely_not_done

"""The map from botocore's exceptions and AWS's codes to our errors."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore import exceptions as boto  # type: ignore[import-untyped]

from orchestrator.domain.errors import (
    AuthenticationFailed,
    Conflict,
    Doubtful,
    Misconfigured,
    NotFound,
    ProviderError,
    Rejected,
    Unreachable,
)
from providers.aws.clients import CONNECT_TIMEOUT, READ_TIMEOUT, client
from providers.aws.errors import BY_CLASS, BY_CODE, Throttled, translate, translated
from tests.providers.aws_world import AwsWorld
from tests.providers.aws_world.binding import SECRET

pytest_plugins = ["tests.providers.aws_world.fixtures"]

SURELY_NOT_SENT = {boto.ConnectTimeoutError, boto.EndpointConnectionError}


def refused(code: str, status: int = 400, message: str = "said\nso", **more: Any) -> boto.ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return boto.ClientError(answer, "Anything")


def made(kind: type[BaseException]) -> BaseException:
    """An instance without its own constructor, whose arguments differ from class to class."""
    error = kind.__new__(kind)
    Exception.__init__(error, "first line\nsecond line")
    return error


@pytest.mark.parametrize("kind", BY_CLASS, ids=lambda kind: kind.__name__)
def test_each_mapped_class_becomes_its_error_in_one_line(kind: type[BaseException]) -> None:
    ours = translate(made(kind), "moving it")
    assert type(ours) is BY_CLASS[kind][0]
    assert str(ours).startswith(f"moving it: {kind.__name__}: first line second line; ")
    assert "\n" not in str(ours)


@pytest.mark.parametrize("code", BY_CODE)
@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_each_mapped_code_means_the_same_whatever_the_status(code: str, status: int) -> None:
    ours = translate(refused(code, status), "moving it")
    assert type(ours) is BY_CODE[code][0]
    assert f"AWS answered {code} (HTTP {status}): said so; " in str(ours)
    assert ours.surely_not_done


def test_only_what_fails_before_the_request_is_unreachable() -> None:
    assert {kind for kind, (ours, _) in BY_CLASS.items() if ours is Unreachable} == SURELY_NOT_SENT


def connection_errors() -> list[type[BaseException]]:
    """Every class of botocore that may be raised while a request is on its way."""
    found, queue = [], [boto.HTTPClientError]
    while queue:
        found.append(queue.pop())
        queue += found[-1].__subclasses__()
    return found


@pytest.mark.parametrize("kind", connection_errors(), ids=lambda kind: kind.__name__)
def test_a_broken_exchange_is_doubtful_unless_no_connection_came_about(kind: type[BaseException]) -> None:
    ours = translate(made(kind), "moving it")
    assert isinstance(ours, Unreachable if kind in SURELY_NOT_SENT else Doubtful)


@pytest.mark.parametrize(
    "error", [boto.BotoCoreError(), OSError("odd"), boto.WaiterError("w", "r", {}), RuntimeError()]
)
def test_what_the_map_does_not_know_is_doubtful(error: BaseException) -> None:
    assert type(translate(error, "moving it")) is Doubtful


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InvalidInstanceID.NotFound", 400, NotFound),
        ("InvalidAllocationID.NotFound", 400, NotFound),
        ("InvalidInstanceID.Malformed", 400, Rejected),
        ("InvalidParameterValue", 400, Rejected),
        ("AddressLimitExceeded", 400, Rejected),
        ("RequestLimitExceeded", 503, Throttled),
        ("InvalidChangeBatch", 400, Conflict),
        ("UnauthorizedOperation", 403, AuthenticationFailed),
        ("InternalError", 500, Doubtful),
        ("InternalFailure", 500, Doubtful),
        ("ServiceUnavailable", 503, Doubtful),
        ("Unavailable", 503, Doubtful),
        ("InvalidNever.Heard", 502, Doubtful),
        ("NeverHeard", 400, Doubtful),
        ("RequestTimeout", 408, Doubtful),
    ],
)
def test_codes_outside_of_the_map(code: str, status: int, kind: type[ProviderError]) -> None:
    assert type(translate(refused(code, status), "moving it")) is kind


def test_throttling_is_a_definite_no_that_is_worth_asking_again() -> None:
    assert Throttled.surely_not_done
    assert Throttled.retryable
    assert not Rejected.retryable


def test_reasons_that_route53_lists_beside_the_message_are_told() -> None:
    assert "first; second" in str(
        translate(refused("InvalidChangeBatch", message="", messages=["first;", "second"]), "x")
    )


def test_the_encoded_policy_dump_is_left_out() -> None:
    message = "You are not authorized. Encoded authorization failure message: AAAA"
    assert "AAAA" not in str(translate(refused("UnauthorizedOperation", 403, message), "x"))


def test_errors_of_our_own_pass_unchanged() -> None:
    with pytest.raises(Misconfigured, match="ours"), translated("moving it"):
        raise Misconfigured("ours")


def test_a_closed_port_is_unreachable(aws: AwsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(Unreachable, match=r"EndpointConnectionError.*AWS_ENDPOINT_URL"), translated("asking"):
            client("ec2", "eu-central-1", SECRET).describe_addresses()


def test_a_port_that_does_not_accept_is_unreachable_within_the_connect_timeout(
    aws: AwsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_backlog() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(Unreachable, match="ConnectTimeoutError"), translated("asking"):
            client("ec2", "eu-central-1", SECRET).describe_addresses()


def test_a_request_that_a_proxy_took_and_did_not_answer_is_doubtful(
    aws: AwsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been passed on."""
    taken = list[bytes]()
    with dropping_proxy(taken) as port:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://ec2.test:{port}")
        with pytest.raises(Doubtful, match="ProxyConnectionError"), translated("asking"):
            client("ec2", "eu-central-1", SECRET).stop_instances(InstanceIds=["i-0a1b2c3d"])
    assert b"Action=StopInstances" in b"".join(taken)


def test_an_answer_that_is_no_xml_is_doubtful(aws: AwsWorld) -> None:
    aws.answer_instead(b"<html>a captive portal")
    with pytest.raises(Doubtful), translated("asking"):
        client("ec2", "eu-central-1", SECRET).describe_addresses()


@pytest.mark.usefixtures("aws")
def test_clients_are_built_once_for_the_same_credentials_and_never_retry() -> None:
    first = client("ec2", "eu-central-1", SECRET)
    assert client("ec2", "eu-central-1", dict(SECRET)) is first
    assert client("ec2", "eu-central-1", {**SECRET, "aws_session_token": "other"}) is not first
    assert client("ec2", "eu-west-1", SECRET) is not first
    config = first.meta.config
    assert config.retries["total_max_attempts"] == 1
    assert (config.connect_timeout, config.read_timeout) == (CONNECT_TIMEOUT, READ_TIMEOUT) == (2.0, 5.0)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that is bound, so that nobody else takes it, and does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue is full: the kernel drops every further SYN, as a lost host would."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@contextmanager
def dropping_proxy(taken: list[bytes]) -> Iterator[int]:
    """A proxy that takes one whole request, puts it into `taken`, and ends the connection without an answer."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            while b"Version=" not in b"".join(taken) and (part := connection.recv(65_536)):
                taken.append(part)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5.0)

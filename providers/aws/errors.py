"""What botocore raises and AWS answers, in our words: the one place where the two meet.

An answer is a definite no only where AWS documents its code as one; every other server error, time-out or broken
connection is Doubtful. Sources: "Error codes for the Amazon EC2 API", "Common errors" of the Route 53 API reference,
and the docstrings in botocore's own service models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore import exceptions as boto  # type: ignore[import-untyped]  # botocore ships no types
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

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


class Throttled(Rejected):
    """AWS refused to look at the request because too many came before it: surely not done, and worth asking again."""

    retryable = True


Translation = tuple[type[ProviderError], str]

_CREDENTIALS = (
    "put aws_access_key_id and aws_secret_access_key into the component's credential profile, "
    "or give the worker an instance role, AWS_PROFILE or AWS_ACCESS_KEY_ID"
)
_PERMISSION = "grant the permission (infra/terraform/aws-two-zones/iam.tf lists all that Tideover needs)"
_NETWORK = "see whether this machine reaches AWS at all (DNS, route, proxy, AWS_ENDPOINT_URL)"
_AGAIN = "look again: what was asked may still happen"

BY_CLASS: Mapping[type[BaseException], Translation] = {
    boto.NoCredentialsError: (AuthenticationFailed, _CREDENTIALS),
    boto.PartialCredentialsError: (AuthenticationFailed, _CREDENTIALS),
    boto.CredentialRetrievalError: (AuthenticationFailed, _CREDENTIALS),
    boto.MetadataRetrievalError: (AuthenticationFailed, _CREDENTIALS),
    boto.SSOError: (AuthenticationFailed, "log in again with `aws sso login`"),
    boto.TokenRetrievalError: (AuthenticationFailed, "log in again with `aws sso login`"),
    boto.ProfileNotFound: (Misconfigured, "correct AWS_PROFILE or the AWS configuration file"),
    boto.ConfigParseError: (Misconfigured, "correct the AWS configuration file"),
    boto.NoRegionError: (Misconfigured, "give the site a region in the runbook"),
    boto.InvalidRegionError: (Misconfigured, "correct the site's region in the runbook"),
    boto.ParamValidationError: (Misconfigured, "correct the identifier in the runbook"),
    boto.ConnectTimeoutError: (Unreachable, _NETWORK),
    boto.EndpointConnectionError: (Unreachable, _NETWORK),
    boto.ReadTimeoutError: (Doubtful, _AGAIN),
    boto.ConnectionClosedError: (Doubtful, _AGAIN),
    boto.ResponseStreamingError: (Doubtful, _AGAIN),
    boto.SSLError: (Doubtful, _AGAIN),
    boto.ProxyConnectionError: (Doubtful, f"{_NETWORK}; if it does, {_AGAIN}"),
    boto.HTTPClientError: (Doubtful, _AGAIN),
    ResponseParserError: (Doubtful, _AGAIN),
}
"""The nearest class in an exception's own line of ancestors decides.

A proxy's error is Doubtful: urllib3 gives it the same name whether the connection to the proxy did not come about, or
was lost after the request had gone through (`HTTPConnection.close` forgets that it was connected, 2.8).
"""

BY_CODE: Mapping[str, Translation] = {
    **dict.fromkeys(
        (
            "AuthFailure",
            "Blocked",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "OptInRequired",
            "PendingVerification",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
        (AuthenticationFailed, _CREDENTIALS),
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"),
        (AuthenticationFailed, _PERMISSION),
    ),
    **dict.fromkeys(
        (
            "PriorRequestNotComplete",  # Route 53 is still taking in another change to the zone
            "RequestLimitExceeded",  # EC2 sends it with HTTP 503; it is throttling all the same
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
        ),
        (Throttled, "ask again a little later"),
    ),
    **dict.fromkeys(
        ("NoSuchHostedZone", "NoSuchChange"),
        (NotFound, "correct the identifier or the region in the runbook"),
    ),
    **dict.fromkeys(
        (
            "IncorrectInstanceState",
            "IncorrectState",
            "InvalidAssociationID.NotFound",
            "InvalidChangeBatch",
            "Resource.AlreadyAssociated",
        ),
        (Conflict, "it is not as it was read: look again"),
    ),
    **dict.fromkeys(
        (
            "DependencyViolation",
            "InsufficientCapacity",  # this and the next two come with HTTP 500 and are a definite no all the same
            "InsufficientHostCapacity",
            "InsufficientInstanceCapacity",
            "MissingParameter",
            "OperationNotPermitted",
            "UnknownParameter",
            "UnsupportedOperation",
            "ValidationError",
        ),
        (Rejected, "change what AWS names, then try again"),
    ),
}
"""Codes that mean the same whatever the HTTP status."""

_FAMILIES: tuple[tuple[re.Pattern[str], Translation], ...] = (
    (re.compile(r".+\.NotFound"), (NotFound, "correct the identifier or the region in the runbook")),
    (re.compile(r"Invalid\w*(\.\w+)*"), (Rejected, "correct what AWS names")),
    (re.compile(r"\w+LimitExceeded"), (Rejected, "raise the quota that AWS names")),
)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Whatever AWS or its SDK raises inside leaves as one of our errors, telling what was being done."""
    try:
        yield
    except (boto.BotoCoreError, boto.ClientError, ResponseParserError, OSError) as error:
        raise translate(error, doing) from error


def translate(error: BaseException, doing: str) -> ProviderError:
    """Our error for a foreign one, in one line; Doubtful where the map does not know it."""
    if isinstance(error, boto.ClientError):
        code, status, said = _answer(error)
        kind, advice = _by_code(code, status)
        return kind(f"{doing}: AWS answered {code} (HTTP {status}): {said}; {advice}")
    known = (BY_CLASS[ancestor] for ancestor in type(error).__mro__ if ancestor in BY_CLASS)
    kind, advice = next(known, (Doubtful, _AGAIN))
    return kind(f"{doing}: {type(error).__name__}: {_one_line(str(error))}; {advice}")


def _answer(error: boto.ClientError) -> tuple[str, int, str]:
    told = error.response.get("Error", {})
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # Route 53 puts the reasons of InvalidChangeBatch into a list of its own instead of the message.
    said = told.get("Message") or " ".join(error.response.get("messages", ())) or "no reason given"
    return str(told.get("Code", "no code")), status, _one_line(said)


def _by_code(code: str, status: int) -> Translation:
    if code in BY_CODE:
        return BY_CODE[code]
    if status < 500:
        for pattern, translation in _FAMILIES:
            if pattern.fullmatch(code):
                return translation
    return Doubtful, _AGAIN


def _one_line(text: str) -> str:
    """The text without line breaks and without the encoded policy dump that EC2 appends to a refusal."""
    return " ".join(text.partition("Encoded authorization failure message")[0].split())[:400]

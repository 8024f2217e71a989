"""Requests and answers as values, and the door to moto's own WSGI application."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree as Xml

_ROUTE53_ACTIONS = (
    ("POST", re.compile(r"/2013-04-01/hostedzone/[^/]+/rrset/?"), "ChangeResourceRecordSets"),
    ("GET", re.compile(r"/2013-04-01/hostedzone/[^/]+/rrset/?"), "ListResourceRecordSets"),
    ("GET", re.compile(r"/2013-04-01/change/[^/]+"), "GetChange"),
    ("GET", re.compile(r"/2013-04-01/hostedzonesbyname"), "ListHostedZonesByName"),
    ("GET", re.compile(r"/2013-04-01/hostedzone/[^/]+"), "GetHostedZone"),
)


@dataclass(frozen=True)
class Request:
    """One request with its body read. `form`: the parameters of an EC2 request. `action`: the API's name for it."""

    environ: Mapping[str, Any]
    body: bytes
    form: Mapping[str, str]
    action: str

    @property
    def path(self) -> str:
        """The path without the query."""
        return str(self.environ.get("PATH_INFO", ""))


@dataclass(frozen=True)
class Answer:
    """One answer with its whole body."""

    status: int
    body: bytes
    content_type: str = "text/xml"


Forward = Callable[[Request], Answer]


def read(environ: Mapping[str, Any]) -> Request:
    """The request that WSGI hands over."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    encoded = str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")
    form = dict(parse_qsl(body.decode(), keep_blank_values=True)) if encoded else {}
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
    route53 = (name for verb, pattern, name in _ROUTE53_ACTIONS if verb == method and pattern.fullmatch(path))
    return Request(environ, body, form, form.get("Action") or next(route53, f"{method} {path}"))


def with_form(request: Request, **form: str) -> Request:
    """An EC2 request signed like the given one (moto reads the region from the signature) with other parameters."""
    parameters = {"Version": request.form["Version"], **form}
    return Request(request.environ, urlencode(parameters).encode(), parameters, form["Action"])


def with_route53(request: Request, method: str, path: str, body: bytes = b"") -> Request:
    """A Route 53 request signed like the given one, with another verb, path and body."""
    environ = {**request.environ, "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": ""}
    return Request(environ, body, {}, f"{method} {path}")


def forward_to(application: Callable[..., Any]) -> Forward:
    """A function that lets a WSGI application answer requests."""

    def forward(request: Request) -> Answer:
        told: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_error: Any) -> None:
            told.extend((status, headers))

        environ = {
            **request.environ,
            "wsgi.input": io.BytesIO(request.body),
            "CONTENT_LENGTH": str(len(request.body)),
        }
        chunks = application(environ, start_response)
        headers = {name.lower(): value for name, value in told[1]}
        return Answer(int(told[0].split()[0]), b"".join(chunks), headers.get("content-type", "text/xml"))

    return forward


def parsed(body: bytes) -> Xml.Element:
    """The root of an XML document."""
    return Xml.fromstring(body)  # noqa: S314  # from our own client or moto, over loopback


def refusal(request: Request, code: str, message: str, status: int = 400) -> Answer:
    """An error in the form of the service that was asked."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    if request.form:
        text = f"<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>"
    else:
        namespace = "https://route53.amazonaws.com/doc/2013-04-01/"
        text = f'<ErrorResponse xmlns="{namespace}">{error}<RequestId>0</RequestId></ErrorResponse>'
    return Answer(status, f'<?xml version="1.0"?>{text}'.encode())


def drop(request: Request) -> ConnectionAbortedError:
    """The error to raise after the connection was cut, without a byte of an answer."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return ConnectionAbortedError("cut by a fault")

"""The two ports, and what tests do with them."""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import boto3  # type: ignore[import-untyped]
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from tests.providers.aws_world.ec2 import Ec2
from tests.providers.aws_world.faults import Fault, Faults
from tests.providers.aws_world.route53 import Route53
from tests.providers.aws_world.wire import Answer, Request, forward_to, read

HOST = "127.0.0.1"


class _QuietHandler(MotoRequestHandler):
    """Tells nothing: a test's output is the test's."""

    def log(self, *_told: Any) -> None:
        return None


class AwsWorld:
    """moto on loopback behind the strict layer, from `with` or `start` until `stop`.

    pending_reads: how often GetChange says PENDING before INSYNC.
    transition_reads: how often DescribeInstances shows pending or stopping before the end.
    """

    def __init__(self, *, pending_reads: int = 2, transition_reads: int = 2, port: int = 0) -> None:
        self.faults, self.ec2, self.route53 = Faults(), Ec2(transition_reads), Route53(pending_reads)
        self._instead: list[bytes] = []
        self._clients: dict[tuple[str, str, str], Any] = {}
        moto = DomainDispatcherApplication(create_backend_app)
        self._forward = forward_to(moto)
        self._servers = [self._server(port, self._strict), self._server(0, moto)]
        self._threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in self._servers]

    @staticmethod
    def _server(port: int, application: Callable[..., Iterable[bytes]]) -> BaseWSGIServer:
        server = make_server(HOST, port, application, threaded=True, request_handler=_QuietHandler)
        server.daemon_threads = True  # type: ignore[attr-defined]  # of socketserver.ThreadingMixIn
        return server

    @property
    def url(self) -> str:
        """The endpoint that is as strict as AWS; what AWS_ENDPOINT_URL should be."""
        return f"http://{HOST}:{self._servers[0].server_port}"

    @property
    def plain_url(self) -> str:
        """The endpoint of moto as it is."""
        return f"http://{HOST}:{self._servers[1].server_port}"

    def start(self) -> Self:
        """Both ports answer."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Both ports are closed, and no request waits any more."""
        self.faults.closing.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def client(self, service: str, *, region: str = "eu-central-1", plain: bool = False) -> Any:
        """An SDK client of the test's own, for arranging and looking."""
        url = self.plain_url if plain else self.url
        known = (service, region, url)
        if known not in self._clients:
            session = boto3.Session("test", "test", region_name=region)
            self._clients[known] = session.client(service, endpoint_url=url)
        return self._clients[known]

    def environment(self) -> dict[str, str]:
        """The variables that lead every AWS SDK here, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": HOST,
        }

    @contextmanager
    def cut(self) -> Iterator[None]:
        """While inside, the strict port cuts every connection; proved by a request of our own (positive control)."""
        assert self._answers(), "the world must answer before a cut means anything"
        self.faults.all_cut = True
        try:
            assert not self._answers(), "the cut does not cut"
            yield
        finally:
            self.faults.all_cut = False

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/moto-api/", timeout=5).close()  # noqa: S310  # our own http
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def fail(self, action: str, fault: Fault) -> None:
        """The next request for this action on the strict port meets this fault."""
        self.faults.add(action, fault)

    def answer_instead(self, body: bytes) -> None:
        """The next request on the strict port gets this body with HTTP 200, and has no effect."""
        self._instead.append(body)

    def _strict(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = self.faults.answer(read(environ), self._corrected)
        length = ("Content-Length", str(len(answer.body)))
        start_response(
            f"{answer.status} {'OK' if answer.status < 400 else 'Error'}",
            [
                ("Content-Type", answer.content_type),
                length,
            ],
        )
        return [answer.body]

    def _corrected(self, request: Request) -> Answer:
        if self._instead:
            return Answer(200, self._instead.pop(0), "text/html")
        service = self.ec2 if request.form else self.route53
        return service.answer(request, self._forward)

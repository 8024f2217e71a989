"""Every error that Tideover raises on purpose.

    TideoverError
    ├── RunbookInvalid        the runbook has findings; nothing was planned
    ├── NotFoundLocally       a runbook, credential profile or setting that was named does not exist here
    ├── ServerUnavailable     no Temporal server was found, or the one found did not start
    ├── JournalUnavailable    the journal cannot be read or written; every guard refuses
    ├── InDoubt               a command of a human was sent and not answered: it may yet be taken
    ├── GuardRefused          the guard let no request through: superseded, expired, cancelled, another plan
    └── ProviderError         what an adapter met; says whether a request may have reached the target
        ├── Unreachable       no connection came about: surely not sent
        ├── Misconfigured     our side cannot even ask: a tool, a permission or a setting is missing: surely not sent
        ├── WrongIdentity     the target is not the one that is meant: surely not sent
        ├── Rejected          the target gave a definite no: surely without effect
        │   ├── AuthenticationFailed
        │   ├── NotFound
        │   └── Conflict      a compare-and-set or precondition did not hold
        └── Doubtful          sent, or maybe: a time-out, a lost connection, a server error

An adapter translates its SDK's errors into ProviderError in one place, `providers/<name>/errors.py`. When it cannot
tell, it is Doubtful: a time-out is Unknown, and Unknown is never success.
"""


class TideoverError(Exception):
    """Base of all; its text is one line that says what was found and what to do next."""


class RunbookInvalid(TideoverError):
    """The runbook has findings; nothing was planned."""


class NotFoundLocally(TideoverError):
    """Something named by the operator does not exist here."""


class ServerUnavailable(TideoverError):
    """No Temporal server was found, or the one found did not start. Its text names each way that was tried."""


class JournalUnavailable(TideoverError):
    """The journal cannot be read or written."""


class InDoubt(TideoverError):
    """A command of a human was sent, or maybe, and nothing has answered: it was neither taken nor refused, as yet."""


class GuardRefused(TideoverError):
    """The guard let no request through."""


class ProviderError(TideoverError):
    """Something an adapter met while it read or changed the world."""

    surely_not_done = False
    """True where the request that raised this certainly had, and will have, no effect."""

    retryable = False
    """True where reading again may help."""


class Unreachable(ProviderError):
    """No connection came about."""

    surely_not_done = True
    retryable = True


class Misconfigured(ProviderError):
    """Our own side cannot ask."""

    surely_not_done = True


class WrongIdentity(ProviderError):
    """The target is not the one that is meant."""

    surely_not_done = True


class Rejected(ProviderError):
    """The target gave a definite no."""

    surely_not_done = True


class AuthenticationFailed(Rejected):
    """The target did not accept our credentials."""


class NotFound(Rejected):
    """The target does not exist there."""


class Conflict(Rejected):
    """A compare-and-set or a precondition did not hold."""


class Doubtful(ProviderError):
    """The request was sent, or maybe."""

    retryable = True

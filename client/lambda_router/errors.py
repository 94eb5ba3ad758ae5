"""Errors of the kit: what happened, and what to do. No message repeats a token, a code or a secret."""

#: Exit statuses of the commands; docs/callers.md has the same table.
EXIT_STATUSES = {
    0: "all is well",
    1: "another error",
    2: "wrong options",
    3: "the job has no answer: it failed, expired or was cancelled",
    4: "not logged in, or refused: run lambda-router login URL",
    5: "a server cannot be reached, or has no time: try again later",
    130: "Ctrl-C; chat has cancelled its job",
    141: "nobody reads the output any more; chat has cancelled its job",
}


class KitError(Exception):
    """Base of all errors of the kit.

    Attributes:
        exit_status: the status with which a command ends because of it.
    """

    exit_status = 1


class NotLoggedIn(KitError):
    """The server has no usable tokens: only a new login brings some."""

    exit_status = 4


class LoginRefused(KitError):
    """The login, or a machine's request for a token, was refused."""

    exit_status = 4


class UnknownServer(KitError):
    """No server of that name is in the list, or there is none at all."""

    exit_status = 4


class ServerAway(KitError):
    """A server cannot be reached, or has no time; later the same may succeed."""

    exit_status = 5


class BadServer(KitError):
    """A server answered with something that must not be used, such as the document of another."""


class BadStorage(KitError):
    """The kit's own files cannot be read or written."""


class JobFailed(KitError):
    """A job has no answer."""

    exit_status = 3

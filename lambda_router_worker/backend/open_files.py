"""The limit on connections that this process may have open at once."""

from contextlib import suppress

#: Open files for Redis, probes, standard streams and Python itself.
_OTHERS = 128


def allow(connections: int) -> None:
    """Raise the process's limit on open files to fit this many connections, as far as the system permits.

    Most systems start at 1,024, which is too low for ``--concurrency 1024``. If the system permits no more, the server
    counts as unreachable, with the reason "too many open files".
    """
    with suppress(ImportError, ValueError, OSError):  # no such limit here, or no permission to raise it
        import resource  # noqa: PLC0415 (Unix only)

        wanted = connections + _OTHERS
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

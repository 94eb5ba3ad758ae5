"""How many connections this process may have open at once."""

from contextlib import suppress

#: Redis, probes, standard streams, and the files of Python itself.
_OTHERS = 128


def allow(connections: int) -> None:
    """Raise the process's own limit so that as many fit, as far as the system lets it.

    Most systems begin with 1,024, which ``--concurrency 1024`` does not fit into. Where they let no more, the server
    counts as unreachable with the reason "too many open files".
    """
    with suppress(ImportError, ValueError, OSError):  # no such limit there, or not ours to raise
        import resource  # noqa: PLC0415 (Unix only)

        wanted = connections + _OTHERS
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

"""The conformance kit: judges any worker command by what docs/queue.md promises."""

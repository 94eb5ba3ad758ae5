"""What callers sent, what they were told, what workers were given: and whether these agree."""

import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

ACCEPTED = 202


class Answer(NamedTuple):
    """One request and its answer, as the caller saw them. Times are seconds of this machine's monotonic clock.

    Attributes:
        key: the request's Idempotency-Key.
        prompts: what each job of the request was sent with; one, unless it was a batch.
        verdicts: status and job id (empty unless 202) of each.
    """

    key: str
    prompts: list[str]
    began: float
    took: float
    verdicts: list[tuple[int, str]]

    @property
    def ended(self) -> float:
        return self.began + self.took

    @property
    def accepted(self) -> int:
        """Jobs of it that are acknowledged."""
        return sum(status == ACCEPTED for status, _ in self.verdicts)


class Tail:
    """The lines of a file that a process is still writing, each read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0

    def lines(self) -> Iterator[Any]:
        """What has come since the last call, from JSON."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._at)
            written = file.read()
        whole = written[: written.rfind(b"\n") + 1]
        self._at += len(whole)
        yield from map(json.loads, whole.splitlines())


@dataclass
class Sent:
    """One job under one key: all that its caller knows of it."""

    prompt: str
    ids: set[str] = field(default_factory=set)
    statuses: set[int] = field(default_factory=set)

    @property
    def verdict(self) -> str:
        if self.ids:
            return "202"
        return "unknown" if any(status >= 500 for status in self.statuses) else "refused"


@dataclass
class History:
    """Answers of all callers, in the order in which they were read."""

    answers: list[Answer] = field(default_factory=list)
    acknowledged: int = 0
    sent: dict[str, Sent] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        self.answers.append(answer)
        for place, (prompt, (status, job_id)) in enumerate(zip(answer.prompts, answer.verdicts, strict=True)):
            sent = self.sent.setdefault(job_key(answer.key, place), Sent(prompt))
            sent.statuses.add(status)
            if status == ACCEPTED:
                self.acknowledged += not sent.ids
                sent.ids.add(job_id)

    def count(self, verdict: str) -> int:
        """Jobs with that verdict: ``202``, ``refused`` (a 4xx), or ``unknown`` (a 5xx)."""
        return sum(sent.verdict == verdict for sent in self.sent.values())

    def statuses(self) -> set[int]:
        return set(self.counts())

    def counts(self) -> dict[int, int]:
        """How often each status was told."""
        return dict(sorted(Counter(status for answer in self.answers for status, _ in answer.verdicts).items()))

    def refusals(self) -> list[float]:
        """Seconds that each answer took that acknowledged nothing."""
        return [answer.took for answer in self.answers if not answer.accepted]

    def first_accepted_after(self, moment: float, since: int = 0) -> float | None:
        """When the first job was acknowledged after that, by the answers from number ``since`` on; None if none was."""
        later = (answer.ended for answer in self.answers[since:] if answer.accepted and answer.ended > moment)
        return min(later, default=None)

    def contradictions(self, deliveries: Sequence[Mapping[str, str]]) -> list[str]:
        """In what the workers were given (``id``, ``key``, ``prompt``) and what callers were told do not agree."""
        given: dict[str, set[str]] = defaultdict(set)
        for delivery in deliveries:
            given[delivery["key"]].add(delivery["id"])
        wrong_prompts = (
            f"{job['key']}: was sent {self.sent[job['key']].prompt!r}, came as {job['prompt']!r}"
            for job in deliveries
            if job["key"] in self.sent and job["prompt"] != self.sent[job["key"]].prompt
        )
        never_sent = (f"{key}: delivered, never sent" for key in given if key not in self.sent)
        told = (self._contradiction(key, sent, given[key]) for key, sent in self.sent.items())
        return [*wrong_prompts, *never_sent, *filter(None, told)]

    @staticmethod
    def _contradiction(key: str, sent: Sent, given: set[str]) -> str:
        if len(sent.ids) > 1 or len(given) > 1:
            return f"{key}: more than one job: acknowledged {sorted(sent.ids)}, delivered {sorted(given)}"
        if sent.ids - given:
            return f"{key}: acknowledged as {sorted(sent.ids)}, delivered as {sorted(given)}"
        if sent.verdict == "refused" and given:
            return f"{key}: refused with {sorted(sent.statuses)}, delivered as {sorted(given)}"
        return ""


def job_key(key: str, place: int) -> str:
    """What names a job through all repeats: its request's key, and its place in the batch."""
    return f"{key}/{place}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below or at which that share of all lie (nearest rank); 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def read(tails: Sequence[Tail], history: History) -> None:
    """Take in what the callers have written since the last time."""
    for line in itertools.chain.from_iterable(tail.lines() for tail in tails):
        key, prompts, began, took, verdicts = line
        history.add(Answer(key, prompts, began, took, [(status, job_id) for status, job_id in verdicts]))

"""What the inputs of all text jobs share: sampling options and limits."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Discriminator, Field, StringConstraints, Tag

from chalicelib.job_settings import InputLimits
from lambda_router_queue.models import Closed

#: Optional members that inputs did not have at first, so that an ``Idempotency-Key`` from before stays valid.
LATER_MEMBERS = frozenset({
    "presence_penalty", "frequency_penalty", "tools", "tool_choice", "parallel_tool_calls", "response_format",
    "reasoning_effort", "model",
})  # fmt: skip

_Ending = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Stop = Annotated[
    Annotated[_Ending, Tag("one")] | Annotated[list[_Ending], Field(min_length=1, max_length=4), Tag("more")],
    Discriminator(lambda value: "more" if isinstance(value, list) else "one"),
]


class Sampling(Closed):
    """Sampling options shared by OpenAI-compatible servers. If unset, the model's own default applies."""

    max_tokens: int
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: Stop | None = Field(default=None, description="A text, or up to 4, that end the generation.")
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)


def max_tokens(limits: InputLimits) -> Any:
    """Return the field ``max_tokens`` of an input."""
    return Field(default=256, ge=1, le=limits.max_tokens, description="Most tokens to generate.")


def fits(most: int) -> Callable[[str], str]:
    """Return a validator that rejects a text of more than ``most`` bytes."""

    def check(value: str) -> str:
        size = len(value.encode())
        if size > most:
            raise ValueError(f"must be at most {most} bytes of UTF-8; shorten it by {size - most}")
        return value

    return check

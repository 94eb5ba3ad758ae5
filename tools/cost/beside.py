"""What else would do a part of the work, and what it costs: SQS with DynamoDB for Redis, a hosted model for both."""

from typing import NamedTuple

from tools.cost.prices import PriceList
from tools.cost.usage import Usage

#: Send, receive, delete.
SQS_REQUESTS = 3
#: Units of 1 KB that a job writes: its record, its start, and a result of up to 2 KB.
DYNAMODB_WRITES = 4
#: Units that a poll reads: half of one, as the read need not be consistent.
DYNAMODB_READS = 0.5
#: A worker that waits for 20 s at a time asks so often in a month of 730 hours.
EMPTY_RECEIVES = 730 * 3_600 / 20
#: A job of a few paragraphs.
TOKENS_IN, TOKENS_OUT = 300, 256


class Rival(NamedTuple):
    """Another way, and USD for a million jobs and for a month."""

    name: str
    instead_of: str
    per_million: float
    fixed: float


def rivals(usage: Usage, prices: PriceList) -> list[Rival]:
    """Return the rivals, for jobs that are polled as often as that."""
    reads = DYNAMODB_READS * usage.polls * 1e6
    sqs = prices["sqs"].of(SQS_REQUESTS * 1e6) + prices["dynamodb_writes"].of(DYNAMODB_WRITES * 1e6)
    cheapest = prices["tokens_in"].of(TOKENS_IN * 1e6) + prices["tokens_out"].of(TOKENS_OUT * 1e6)
    bedrock = prices["bedrock_tokens"].of((TOKENS_IN + TOKENS_OUT) * 1e6)
    return [
        Rival(
            "SQS and DynamoDB",
            "Redis: without turns between callers, priorities, positions, cancelling",
            sqs + prices["dynamodb_reads"].of(reads),
            prices["sqs"].of(EMPTY_RECEIVES),
        ),
        Rival("Llama 3.1 8B at the cheapest host", "the whole service and the box", cheapest, 0),
        Rival("Llama 3.1 8B on Bedrock", "the whole service and the box", bedrock, 0),
    ]

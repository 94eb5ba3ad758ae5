"""AWS partitions: the one that a region belongs to, and the suffix of its host names.

The reference is botocore's ``partitions.json``; tests/unit/test_partitions.py compares the two. Terraform uses its
provider's data (``data.aws_partition``). No other code may spell out a partition or a suffix.
"""

from typing import NamedTuple

#: A region's code, such as eu-central-1, us-gov-west-1 or eusc-de-east-1.
REGION_PATTERN = r"[a-z]{2,4}(-[a-z]+)+-\d"
#: Prefixes of regions without user pools: AWS China, which has identity pools only, and AWS's isolated regions.
PREFIXES_WITHOUT_USER_POOLS = ("cn-", "us-iso", "eu-iso")
#: The reason for rejecting them, in settings and in Terraform's variables.
WITHOUT_USER_POOLS = (
    "is in a partition where AWS has no Cognito user pools (AWS China and the isolated regions): there is no pool whose"
    " tokens could be checked"
)


class Partition(NamedTuple):
    """A part of AWS with its own accounts, ARNs and hosts.

    Attributes:
        name: the second part of an ARN.
        dns_suffix: the end of its host names.
    """

    name: str
    dns_suffix: str


#: Partitions by the prefix of their regions' codes; the first match counts.
BY_PREFIX = {
    "us-gov-": Partition("aws-us-gov", "amazonaws.com"),
    "eusc-": Partition("aws-eusc", "amazonaws.eu"),
    "": Partition("aws", "amazonaws.com"),
}


def partition_of(region: str) -> Partition:
    """Return the partition of a region, or of a text that begins with a region's code, such as a user pool's id.

    Raises:
        ValueError: AWS has no user pools there.
    """
    if region.startswith(PREFIXES_WITHOUT_USER_POOLS):
        raise ValueError(WITHOUT_USER_POOLS)
    return next(partition for prefix, partition in BY_PREFIX.items() if region.startswith(prefix))

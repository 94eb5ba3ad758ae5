"""AWS's partitions: the one that a region is in, and how the names of its hosts end.

The reference is botocore's ``partitions.json``, with which tests/unit/test_partitions.py compares this. Terraform asks
its provider (``data.aws_partition``); nothing else may spell a partition or a suffix.
"""

from typing import NamedTuple

#: A region's code, such as eu-central-1, us-gov-west-1 or eusc-de-east-1.
REGION_PATTERN = r"[a-z]{2,4}(-[a-z]+)+-\d"
#: What the codes of regions without user pools begin with: AWS China (it has identity pools only) and AWS's isolated
#: regions.
PREFIXES_WITHOUT_USER_POOLS = ("cn-", "us-iso", "eu-iso")
#: Why they are refused, for settings and for Terraform's variables.
WITHOUT_USER_POOLS = (
    "is in a partition where AWS has no Cognito user pools (AWS China and the isolated regions): there is no pool whose"
    " tokens could be checked"
)


class Partition(NamedTuple):
    """A part of AWS with accounts, ARNs and hosts of its own.

    Attributes:
        name: the second part of an ARN.
        dns_suffix: what names of hosts end with.
    """

    name: str
    dns_suffix: str


#: By what the codes of their regions begin with; the first that fits is the right one.
BY_PREFIX = {
    "us-gov-": Partition("aws-us-gov", "amazonaws.com"),
    "eusc-": Partition("aws-eusc", "amazonaws.eu"),
    "": Partition("aws", "amazonaws.com"),
}


def partition_of(region: str) -> Partition:
    """The partition of a region, or of something that begins with a region's code, such as a user pool's id.

    Raises:
        ValueError: AWS has no user pools there.
    """
    if region.startswith(PREFIXES_WITHOUT_USER_POOLS):
        raise ValueError(WITHOUT_USER_POOLS)
    return next(partition for prefix, partition in BY_PREFIX.items() if region.startswith(prefix))

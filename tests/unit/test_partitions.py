"""chalicelib.partitions, beside botocore's own list of partitions and regions."""

import json
import re
from pathlib import Path
from typing import Any

import boto3
import botocore
import pytest

from chalicelib.partitions import REGION_PATTERN, partition_of

_BOTOCORE: dict[str, Any] = json.loads((Path(botocore.__file__).parent / "data/partitions.json").read_text())
#: Partition → its regions; those that stand for a whole partition, such as aws-global, are none.
REGIONS = {
    each["id"]: [region for region in each["regions"] if not region.endswith("-global")]
    for each in _BOTOCORE["partitions"]
}
SUFFIXES = {each["id"]: each["outputs"]["dnsSuffix"] for each in _BOTOCORE["partitions"]}


def _has_user_pools(partition: str) -> bool:
    return bool(boto3.Session().get_available_regions("cognito-idp", partition))


@pytest.mark.parametrize("partition", [each for each in REGIONS if _has_user_pools(each)])
def test_a_region_with_user_pools_has_botocores_partition_and_suffix(partition: str):
    assert REGIONS[partition]
    for region in REGIONS[partition]:
        assert partition_of(region) == (partition, SUFFIXES[partition]), region
        assert re.fullmatch(REGION_PATTERN, region)


@pytest.mark.parametrize("partition", [each for each in REGIONS if not _has_user_pools(each)])
def test_a_region_without_user_pools_is_refused_with_the_reason(partition: str):
    assert REGIONS[partition]
    for region in REGIONS[partition]:
        with pytest.raises(ValueError, match="no Cognito user pools"):
            partition_of(region)


def test_there_are_partitions_of_both_kinds():
    assert {each for each in REGIONS if _has_user_pools(each)} == {"aws", "aws-us-gov", "aws-eusc"}
    assert "aws-cn" in REGIONS

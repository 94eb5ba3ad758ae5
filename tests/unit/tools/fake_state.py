"""A bucket with a Terraform state in it."""

import io
import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from tools.stack.backend import Backend


class FakeS3:
    """Objects by key; what is not there is refused with a code."""

    def __init__(self, objects: Mapping[str, Any], code: str = "NoSuchKey") -> None:
        self.objects, self.code = objects, code

    def get_object(self, **place: str) -> dict[str, Any]:
        if place["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": self.code}}, "GetObject")
        return {"Body": io.BytesIO(json.dumps(self.objects[place["Key"]]).encode())}

    def backend(self) -> Backend:
        return Backend("octo-state", "prod.tfstate", "eu-central-1", lambda *_: self)

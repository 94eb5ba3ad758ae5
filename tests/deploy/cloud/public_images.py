"""The parameter in which Debian publishes its newest image; moto knows those of Amazon Linux and of ECS only."""

import json

from werkzeug.wrappers import Request, Response

from tests.deploy.cloud.aws_apis import replace_body

_NAME = "/aws/service/debian/release/13/latest/arm64"


def answer(request: Request, image: str) -> Response | None:
    """The response to a request for that parameter; None to any other.

    Args:
        request: to any service.
        image: the id of an image that moto has.
    """
    if request.headers.get("X-Amz-Target") != "AmazonSSM.GetParameter":
        return None
    given = request.get_json(force=True)
    if given.get("Name") != _NAME:
        replace_body(request, given)  # moto has yet to read it
        return None
    told = {"Name": _NAME, "Type": "String", "Value": image, "Version": 1, "DataType": "aws:ec2:image"}
    told["ARN"] = f"arn:aws:ssm:eu-central-1::parameter{_NAME}"
    return Response(json.dumps({"Parameter": told}), content_type="application/x-amz-json-1.1")

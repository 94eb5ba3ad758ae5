"""tools.package.environment: how much of a function's variables Lambda takes."""

import pytest

from tests.contract.repository import files, name_of, page
from tools.package.environment import LIMIT, OF_STREAMING, filled, measured, of_streaming, too_large


@pytest.mark.parametrize(
    ("variables", "size"),
    [({}, 2), ({"A": "b"}, 9), ({"A": "b", "C": ""}, 16), ({"A": 'say "x"'}, 17), ({"A": "\N{EURO SIGN}"}, 11)],
    ids=["none", "one", "two", "quotes", "three bytes in UTF-8"],
)
def test_variables_are_measured_as_their_json(variables: dict[str, str], size: int):
    assert measured(variables) == size


def test_lambda_takes_4096_bytes_and_not_one_more():
    assert too_large({"A": "b" * (LIMIT - 8)}) is None
    assert too_large({"A": "b" * (LIMIT - 7)})


def test_the_largest_variables_are_named_first():
    fault = too_large({"SMALL": "x", "COGNITO_JWKS": "k" * 900, "COGNITO_AUD": "a" * 4_000, "REGION": "eu" * 5})
    assert fault is not None
    assert "COGNITO_AUD 4,018, COGNITO_JWKS 919, REGION 23" in fault.found
    assert "SMALL" not in fault.found
    assert "COGNITO_AUD" in fault.fix


def test_expressions_of_terraform_are_replaced_by_their_values():
    values = {"cognito_aud": "one,two"}
    variables = {"COGNITO_AUD": "${var.cognito_aud}", "PLAIN": "x", "GONE": "${var.gone}"}
    assert filled(variables, lambda name: values.get(name, "")) == {"COGNITO_AUD": "one,two", "PLAIN": "x", "GONE": ""}


def test_the_stacks_name_is_measured_as_it_will_be():
    values = {"app_name": "lambda-router", "stage_name": "prod"}
    assert filled({"ROUTER_STACK": "${local.name}"}, values.__getitem__) == {"ROUTER_STACK": "lambda-router-prod"}


def test_the_streaming_function_is_measured_with_what_terraform_adds():
    (name, path), *more = OF_STREAMING.items()
    text = page("terraform/streaming.tf")

    assert more == []
    assert f'stream_wrapper = "{path}"' in text
    assert f"{name} = local.stream_wrapper" in text
    assert measured(of_streaming({})) == measured(OF_STREAMING)


def test_the_wrapper_of_the_streaming_function_is_in_the_package():
    (path,) = OF_STREAMING.values()

    assert path.removeprefix("/var/task/") in {name_of(each) for each in files()}

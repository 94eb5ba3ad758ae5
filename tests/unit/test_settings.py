"""chalicelib.settings: a variable that is wrong is named with what was found and what is wanted."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib.partitions import WITHOUT_USER_POOLS
from chalicelib.settings import Settings, SettingsError, Surface

WORKING = {
    "COGNITO_USER_POOL_ID": "eu-central-1_TestPool1",
    "COGNITO_AUD": "client-1",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}


def read(**changes: str | None) -> Settings:
    """The settings of a working environment with these changes; None removes a variable."""
    environ = WORKING | changes
    return Settings.from_environ({name: value for name, value in environ.items() if value is not None})


def refusal(**changes: str | None) -> str:
    with pytest.raises(SettingsError) as refused:
        read(**changes)
    return str(refused.value)


def test_three_variables_are_enough():
    settings = read()
    assert settings.cognito_user_pool_id == "eu-central-1_TestPool1"
    assert settings.cognito_aud == ("client-1",)
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"


def test_clients_may_be_given_as_they_are_kept():
    assert Settings.model_validate(WORKING | {"COGNITO_AUD": ("a", "b,c")}).cognito_aud == ("a", "b,c")


def test_defaults_are_those_of_the_contract():
    settings = read()
    assert settings.router_queue == "tinyllama"
    assert settings.router_scope == "lambda-router/jobs"
    assert (settings.router_rate_per_minute, settings.router_rate_burst) == (60, 20)
    assert settings.router_idempotency_seconds == 24 * 60 * 60
    assert settings.router_cors_origin == ()
    assert (settings.router_job_timeout_seconds, settings.router_job_attempts) == (300, 3)
    assert settings.router_ttl_seconds == 300


@pytest.mark.parametrize("name", ["COGNITO_USER_POOL_ID", "COGNITO_AUD"])
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_a_missing_variable_is_named_with_an_example(name: str, value: str | None):
    message = refusal(**{name: value})
    example = Settings.model_fields[name.lower()].examples
    assert example
    assert f"{name}: found nothing; wants a value, such as {example[0]!r}" in message


MALFORMED = {
    "COGNITO_USER_POOL_ID": ["TestPool1", "eu-central-1", "eu-central-1_", "eu-central-1_a b", "eu-central-1_a\n"],
    "COGNITO_AUD": [",", " , "],
    "COGNITO_ISSUER": ["http://example.com", "example.com", "https://", "ftp://example.com", "https://a.example, b"],
    "COGNITO_JWKS": [
        "http://example.com/jwks.json",
        "ftp://example.com/jwks.json",
        "{not json",
        "https://[::1",
        pytest.param("file://localhost/etc/passwd", id="a file URL on localhost"),
        pytest.param("ftp://localhost/jwks.json", id="an ftp URL on localhost"),
        pytest.param("https://example.com:99999/jwks.json", id="a port that does not exist"),
        pytest.param("https://example.com:https/jwks.json", id="a port in letters"),
    ],
    "ROUTER_SCOPE": ['a"b', "a b", "a\\b"],
    "REDIS_URL_PARAMETER": ["a b", "name!", "#"],
    "ROUTER_QUEUE": ["Tiny", "-tiny", "a_b", "{a}", "a" * 64],
    "ROUTER_QUEUE_CAP": ["0", "10000001", "many", "1.5", "-1"],
    "ROUTER_OPEN_JOBS_CAP": ["0", "1000001", "x"],
    "ROUTER_RATE_PER_MINUTE": ["0", "100001", "x"],
    "ROUTER_RATE_BURST": ["0", "100001", "x"],
    "ROUTER_STORE_RESULT_SECONDS": ["59", "604801", "x"],
    "ROUTER_IDEMPOTENCY_SECONDS": ["59", "604801", "x"],
    "ROUTER_TOKEN_LEEWAY_SECONDS": ["-1", "61", "x"],
    "ROUTER_CORS_ORIGIN": [
        "example.com",
        "https://example.com/",
        "https://a/b",
        "null",
        "ftp://example.com",
        "https://",
        "https://a.example,https://b.example/",
        "*,https://a.example",
    ],
    "ROUTER_DOCS": ["True", "yes", "1"],
    "COGNITO_DOMAIN": [
        "team.auth.eu-central-1.amazoncognito.com",
        "http://team.auth.eu-central-1.amazoncognito.com",
        "https://team.example.com/",
        "https://team.example.com/login",
        "https://team.example.com;script-src",
        "https://team.example.com script-src",
        "https://Team.example.com",
        "https://user@team.example.com",
        "https://team.example.com?",
        "https://",
    ],
    "ROUTER_JOB_TIMEOUT_SECONDS": ["0", "43201", "x"],
    "ROUTER_JOB_ATTEMPTS": ["0", "21", "x"],
    "ROUTER_RETRY_FIRST_SECONDS": ["-1", "3601", "x"],
    "ROUTER_RETRY_LONGEST_SECONDS": ["-1", "3601", "x"],
    "ROUTER_TTL_SECONDS": ["9", "86401", "x"],
    "ROUTER_MAX_BODY_BYTES": ["1023", "2097153", "x"],
    "ROUTER_MAX_BATCH_BYTES": ["1023", "2097153", "x"],
    "ROUTER_MAX_PROMPT_BYTES": ["0", "2097153", "x"],
    "ROUTER_MAX_CHAT_BYTES": ["0", "2097153", "x"],
    "ROUTER_MAX_TOKENS": ["255", "1000001", "x"],
    "ROUTER_LOG_LEVEL": ["info", "TRACE"],
}


def table(values: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(name, *getattr(value, "values", [value]), id=f"{name}: {getattr(value, 'id', repr(value))}")
        for name, several in values.items()
        for value in several
    ]


@pytest.mark.parametrize(("name", "value"), table(MALFORMED))
def test_a_malformed_variable_is_named_with_its_value(name: str, value: str):
    changes = {"REDIS_URL": None, name: value} if name == "REDIS_URL_PARAMETER" else {name: value}
    message = refusal(**changes)
    assert f"{name}: found {value!r}; " in message


LISTS = {"COGNITO_AUD", "COGNITO_ISSUER", "ROUTER_CORS_ORIGIN"}
GOOD = {
    "COGNITO_USER_POOL_ID": ["us-gov-west-1_a", "eusc-de-east-1_a", "ap-southeast-2_" + "A1" * 27],
    "COGNITO_AUD": ["a,b", " a , b ,"],
    "COGNITO_ISSUER": [
        "https://example.com/pool",
        "http://127.0.0.1:8000/pool",
        "http://localhost/x",
        "https://a.example, https://b",
    ],
    "COGNITO_JWKS": ["https://example.com/jwks.json", "http://[::1]:8000/jwks", "/var/task/jwks.json", ' {"keys":[]}'],
    "ROUTER_QUEUE": ["a", "0-a", "a" * 63],
    "ROUTER_QUEUE_CAP": ["1", "10000000"],
    "ROUTER_OPEN_JOBS_CAP": ["1", "1000000"],
    "ROUTER_RATE_PER_MINUTE": ["1", "100000"],
    "ROUTER_RATE_BURST": ["1", "100000"],
    "ROUTER_STORE_RESULT_SECONDS": ["60", "604800"],
    "ROUTER_IDEMPOTENCY_SECONDS": ["60", "604800"],
    "ROUTER_TOKEN_LEEWAY_SECONDS": ["0", "60"],
    "ROUTER_CORS_ORIGIN": [
        "*",
        "https://app.example.com",
        "http://localhost:3000",
        "https://a.example, https://b.example",
    ],
    "ROUTER_DOCS": ["true", "false"],
    "COGNITO_DOMAIN": [
        "https://team.auth.eu-central-1.amazoncognito.com",
        "https://login.example.com",
        "https://login.example.com:8443",
        "http://127.0.0.1:9000",
        "http://localhost:9000",
        "http://[::1]:9000",
    ],
    "ROUTER_LOG_LEVEL": ["DEBUG", "INFO", "WARNING", "ERROR"],
    "ROUTER_JOB_TIMEOUT_SECONDS": ["1", "25200"],
    "ROUTER_JOB_ATTEMPTS": ["1", "20"],
    "ROUTER_RETRY_FIRST_SECONDS": ["0", "60"],
    "ROUTER_RETRY_LONGEST_SECONDS": ["2", "3600"],
    "ROUTER_TTL_SECONDS": ["10", "86400"],
    "ROUTER_MAX_BODY_BYTES": ["524288", "2097152"],
    "ROUTER_MAX_BATCH_BYTES": ["1048576", "2097152"],
    "ROUTER_MAX_PROMPT_BYTES": ["1", "1048576"],
    "ROUTER_MAX_CHAT_BYTES": ["1", "1048576"],
    "ROUTER_MAX_TOKENS": ["256", "1000000"],
}


@pytest.mark.parametrize(("name", "value"), table(GOOD))
def test_a_value_at_its_bound_is_taken(name: str, value: str):
    found = getattr(read(**{name: value}), name.lower())
    wanted = tuple(part.strip() for part in value.split(",") if part.strip()) if name in LISTS else value
    assert found == wanted or str(found) == value


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:6379",
        "redis://",
        "127.0.0.1:6379",
        "redis://user:hunter2@",
        "unix:///somewhere/hunter2.sock",
        "redis://[hunter2",
        pytest.param("redis://user:hun\N{ACCOUNT OF}ter2@host:6379/0", id="a character that normalises to a slash"),
        pytest.param("redis://user:hun#ter2@host:6379/0", id="a password with an unescaped #"),
        pytest.param("redis://user:hun/ter2@host:6379/0", id="a password with an unescaped slash"),
        pytest.param("redis://user:hunter2@host:99999/0", id="a port that does not exist"),
    ],
)
def test_a_malformed_redis_url_is_refused_without_being_shown(url: str):
    message = refusal(REDIS_URL=url)
    assert "REDIS_URL: found '****'; " in message
    assert "hun" not in message
    assert "ter2" not in message


@pytest.mark.parametrize("url", ["redis://h", "rediss://user:pa%23ss@h:6380/1", "redis://[::1]:6379/0"])
def test_a_redis_url_is_taken_and_kept_secret(url: str):
    settings = read(REDIS_URL=url)
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == url
    assert url not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"REDIS_URL": None}, "neither is"),
        ({"REDIS_URL": ""}, "neither is"),
        ({"REDIS_URL_PARAMETER": "/router/redis"}, "both are"),
    ],
    ids=["neither", "empty", "both"],
)
def test_exactly_one_source_of_the_redis_url_is_wanted(changes: dict[str, str | None], found: str):
    assert f"set exactly one of REDIS_URL and REDIS_URL_PARAMETER; {found} set" in refusal(**changes)


def test_the_name_of_a_parameter_may_stand_for_the_redis_url():
    settings = read(REDIS_URL=None, REDIS_URL_PARAMETER="/lambda-router/prod/redis-url")
    assert settings.redis_url is None
    assert settings.redis_url_parameter == "/lambda-router/prod/redis-url"


@pytest.mark.parametrize(
    ("stray", "near"),
    [
        ("COGNITO_AUDIENCE", "COGNITO_AUD"),
        ("ROUTER_RATE_PER_MINUT", "ROUTER_RATE_PER_MINUTE"),
        ("REDIS_URL_PARAM", "REDIS_URL_PARAMETER"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_name_that_was_meant(stray: str, near: str):
    assert f"{stray}: found a variable that does not exist; did you mean {near}?" in refusal(**{stray: "hunter2"})


def test_a_stray_variable_is_refused_without_its_value():
    message = refusal(ROUTER_ZZZZZZZZZZZZZZZZZZZZ="hunter2")
    assert "ROUTER_ZZZZZZZZZZZZZZZZZZZZ: found a variable that does not exist; remove it" in message
    assert "hunter2" not in message


def test_variables_of_others_are_left_alone():
    assert read(PATH="/bin", AWS_LAMBDA_FUNCTION_NAME="router", REDIS_HOST="x").router_queue == "tinyllama"


def test_all_faults_are_named_at_once():
    message = refusal(COGNITO_AUD=None, ROUTER_QUEUE="Bad", ROUTER_RATE_BURST="x", ROUTER_BURST="1")
    assert [line.split(":")[0].strip() for line in message.splitlines()[1:]] == [
        "ROUTER_BURST",
        "COGNITO_AUD",
        "ROUTER_QUEUE",
        "ROUTER_RATE_BURST",
    ]


ISSUERS = {
    "eu-central-1_TestPool1": "eu-central-1.amazonaws.com",
    "us-gov-west-1_a": "us-gov-west-1.amazonaws.com",
    "eusc-de-east-1_a": "eusc-de-east-1.amazonaws.eu",
}


@pytest.mark.parametrize(("pool", "host"), ISSUERS.items(), ids=ISSUERS)
def test_the_issuers_are_the_pools_two(pool: str, host: str):
    settings = read(COGNITO_USER_POOL_ID=pool, COGNITO_REGION=None)
    assert settings.issuers == (f"https://cognito-idp.{host}/{pool}", f"https://issuer-cognito-idp.{host}/{pool}")
    assert settings.key_sources == tuple(f"{issuer}/.well-known/jwks.json" for issuer in settings.issuers)


def test_other_issuers_are_taken_beside_the_pools_own():
    settings = read(COGNITO_ISSUER=" http://127.0.0.1:9/pool , https://example.com,")
    assert settings.issuers == ("http://127.0.0.1:9/pool", "https://example.com", *read().issuers)
    assert settings.key_sources[0] == "http://127.0.0.1:9/pool/.well-known/jwks.json"


def test_an_issuer_that_the_pool_has_anyway_counts_once():
    assert read(COGNITO_ISSUER=read().issuers[1]).issuers == tuple(reversed(read().issuers))


def test_the_issuer_of_a_replica_of_the_pool_is_taken():
    replica = "https://cognito-idp.eu-west-1.amazonaws.com/eu-central-1_TestPool1"
    assert replica in read(COGNITO_ISSUER=replica).issuers


@pytest.mark.parametrize("host", ["cognito-idp", "issuer-cognito-idp", "cognito-idp-fips", "COGNITO-IDP"])
@pytest.mark.parametrize("path", ["/eu-central-1_Other", "", "/eu-central-1_TestPool1/", "/eu-central-1_TestPool"])
def test_the_issuer_of_another_pool_is_refused(host: str, path: str):
    issuer = f"https://{host}.eu-central-1.amazonaws.com{path}"
    message = refusal(COGNITO_ISSUER=f"https://example.com,{issuer}")
    assert repr(issuer) in message
    assert "COGNITO_ISSUER" in message
    assert "eu-central-1_TestPool1" in message


@pytest.mark.parametrize("pool", ["cn-north-1_a", "us-iso-east-1_a", "us-isob-east-1_a", "eu-isoe-west-1_a"])
def test_a_pool_where_aws_has_none_is_refused_with_the_reason(pool: str):
    message = refusal(COGNITO_USER_POOL_ID=pool)
    assert f"COGNITO_USER_POOL_ID: found {pool!r}; " in message
    assert WITHOUT_USER_POOLS in message


def test_a_key_source_stands_alone():
    settings = read(COGNITO_ISSUER="http://127.0.0.1:9/pool", COGNITO_JWKS="/somewhere/jwks.json")
    assert settings.key_sources == ("/somewhere/jwks.json",)


@pytest.mark.parametrize("name", ["COGNITO_REGION", "AWS_REGION"])
def test_a_region_that_is_not_the_pools_is_refused(name: str):
    message = refusal(**{name: "us-east-1"})
    assert "COGNITO_REGION is 'us-east-1' but COGNITO_USER_POOL_ID names a pool in 'eu-central-1'" in message


def test_the_functions_region_counts_only_where_no_other_is_named():
    assert read(COGNITO_REGION="eu-central-1", AWS_REGION="us-east-1").cognito_region == "eu-central-1"
    assert read(COGNITO_ISSUER="https://example.com", AWS_REGION="us-east-1").issuers[0] == "https://example.com"
    assert read(AWS_REGION="eu-central-1").cognito_region == "eu-central-1"


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        read().router_queue = "other"


def test_every_variable_has_a_description_that_is_a_sentence():
    for name in Settings.names():
        description = Settings.model_fields[name.lower()].description
        assert description, name
        assert description[0].isupper(), name
        assert description.endswith("."), name


def test_the_surface_is_read_without_any_other_variable():
    assert Settings.surface({}) == Surface(user_pool_arn="", scope="lambda-router/jobs", cors_origin="")
    environ = {"COGNITO_USER_POOL_ARN": "${arn}", "ROUTER_SCOPE": "${scope}", "ROUTER_CORS_ORIGIN": "${origin}"}
    assert Settings.surface(environ) == Surface(user_pool_arn="${arn}", scope="${scope}", cors_origin="${origin}")
    assert Settings.surface({"ROUTER_SCOPE": ""}).scope == "lambda-router/jobs"
    assert Settings.surface({"ROUTER_DOCS": "true"}).has_pages


def test_a_jwks_as_text_is_taken_as_it_stands():
    text = json.dumps({"keys": []})
    assert read(COGNITO_JWKS=text).key_sources == (text,)

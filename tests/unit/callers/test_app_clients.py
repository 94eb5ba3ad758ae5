"""chalicelib.callers.app_clients: which clients are accepted, and when the parameter is read for it."""

from dataclasses import dataclass, field

import pytest

from chalicelib.callers.app_clients import COOLDOWN_SECONDS, REFRESH_AFTER_SECONDS, AppClients
from chalicelib.errors import SigningKeysUnavailable, Unauthenticated
from chalicelib.parameters import ParameterUnavailable

PARAMETER = "/lambda-router/test/pages-client"


@dataclass
class Store:
    """Parameter Store with one parameter, on a clock that the test moves."""

    value: str | ParameterUnavailable = "pages"
    now: float = 0.0
    fetched: list[str] = field(default_factory=list)

    def fetch(self, setting: str, name: str) -> str:
        assert setting == "COGNITO_AUD_PARAMETER"
        self.fetched.append(name)
        if isinstance(self.value, ParameterUnavailable):
            raise self.value
        return self.value

    def clients(self, parameter: str | None = PARAMETER) -> AppClients:
        return AppClients(["machine"], parameter, fetch=self.fetch, clock=lambda: self.now)


def accepts(clients: AppClients, client_id: object) -> bool:
    try:
        clients.check(client_id)
    except Unauthenticated:
        return False
    return True


def missing() -> ParameterUnavailable:
    return ParameterUnavailable("COGNITO_AUD_PARAMETER: there is none", decided=True)


def silent() -> ParameterUnavailable:
    return ParameterUnavailable("COGNITO_AUD_PARAMETER: no answer in time", decided=False)


def test_the_settings_own_clients_cost_no_call():
    store = Store()
    assert accepts(store.clients(), "machine")
    assert store.fetched == []


def test_a_client_that_the_setting_lacks_is_looked_up_once():
    store = Store(" pages , desktop")
    clients = store.clients()
    assert [accepts(clients, each) for each in ("pages", "desktop", "machine", "pages")] == [True] * 4
    assert store.fetched == [PARAMETER]


@pytest.mark.parametrize("client_id", ["other", "", None, 7, ["pages"]])
def test_a_client_that_nobody_lists_is_rejected(client_id: object):
    assert not accepts(Store().clients(), client_id)


def test_without_a_parameter_nothing_is_looked_up():
    store = Store()
    assert not accepts(store.clients(None), "pages")
    assert store.fetched == []


def test_a_flood_of_unknown_clients_costs_one_call_a_minute():
    store = Store()
    clients = store.clients()
    for number in range(COOLDOWN_SECONDS * 3):
        store.now = float(number)
        accepts(clients, f"client{number}")
    assert len(store.fetched) == 3


def test_a_new_client_is_accepted_within_a_minute():
    store = Store(missing())
    clients = store.clients()
    assert not accepts(clients, "pages")
    store.value = "pages"
    store.now = COOLDOWN_SECONDS
    assert accepts(clients, "pages")


def test_a_client_that_was_removed_is_rejected_after_five_minutes():
    store = Store("pages,desktop")
    clients = store.clients()
    assert accepts(clients, "pages")
    store.value = "desktop"
    store.now = REFRESH_AFTER_SECONDS - 1.0
    assert accepts(clients, "pages")
    store.now = REFRESH_AFTER_SECONDS
    assert not accepts(clients, "pages")


def test_a_parameter_that_was_deleted_takes_its_clients_with_it():
    store = Store()
    clients = store.clients()
    assert accepts(clients, "pages")
    store.value, store.now = missing(), REFRESH_AFTER_SECONDS
    assert not accepts(clients, "pages")
    assert accepts(clients, "machine")


def test_clients_known_before_stay_accepted_while_ssm_does_not_answer():
    store = Store()
    clients = store.clients()
    assert accepts(clients, "pages")
    store.value, store.now = silent(), REFRESH_AFTER_SECONDS
    assert accepts(clients, "pages")


def test_a_client_is_not_called_unknown_while_ssm_does_not_answer():
    """A page that got 401 would send its user to sign in again, in circles."""
    clients = Store(silent()).clients()
    with pytest.raises(SigningKeysUnavailable) as unavailable:
        clients.check("pages")
    assert "COGNITO_AUD_PARAMETER" in (unavailable.value.reason or "")
    assert "COGNITO_AUD_PARAMETER" not in unavailable.value.detail
    assert accepts(clients, "machine")


def test_the_log_learns_why_a_client_of_a_missing_parameter_is_rejected():
    with pytest.raises(Unauthenticated) as rejected:
        Store(missing()).clients().check("pages")
    assert "COGNITO_AUD_PARAMETER" in (rejected.value.reason or "")
    assert "COGNITO_AUD_PARAMETER" not in rejected.value.detail


@pytest.mark.parametrize("value", ["", " , ", "a b", '{"id": "a"}', "a;b", "x" * 129])
def test_a_parameter_that_holds_no_ids_is_named_with_what_it_wants(value: str):
    with pytest.raises(SigningKeysUnavailable) as unusable:
        Store(value).clients().require()
    reason = unusable.value.reason or ""
    assert "COGNITO_AUD_PARAMETER" in reason
    assert PARAMETER in reason
    assert "comma-separated" in reason


def test_requiring_the_parameter_reads_it_every_five_minutes():
    store = Store()
    clients = store.clients()
    for number in range(REFRESH_AFTER_SECONDS * 2):
        store.now = float(number)
        clients.require()
    assert len(store.fetched) == 2

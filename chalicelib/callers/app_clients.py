"""The app clients whose tokens are accepted: those of a setting, and further ones from an SSM parameter."""

import re
import threading
import time
from collections.abc import Callable, Collection

from chalicelib.errors import SigningKeysUnavailable, Unauthenticated
from chalicelib.limits import UNAVAILABLE_RETRY_SECONDS, retry_after
from chalicelib.parameters import ParameterUnavailable, fetch_parameter
from chalicelib.setting_values import split_commas
from lambda_router_queue import deadlines

SETTING = "COGNITO_AUD_PARAMETER"
#: A list of this age is fetched before it is used again, so that a client that was removed is rejected from then on.
REFRESH_AFTER_SECONDS = 300
#: Minimum time between fetches. A new client is accepted within it, even during a flood of unknown ones.
COOLDOWN_SECONDS = 60

#: Ids of app clients (UserPoolClientType, ``ClientId``).
_CLIENT_ID = re.compile(r"[\w+]{1,128}", re.ASCII)


class AppClients:
    """The ids of the accepted app clients.

    The parameter is read when a token with a valid signature names a client that the setting lacks, so a function whose
    callers use only the setting's never calls SSM for it, and the parameter may be created after the stage.

    Args:
        ids: the setting's.
        parameter: name of the parameter with further ids; None for none.
    """

    def __init__(
        self,
        ids: Collection[str],
        parameter: str | None = None,
        *,
        fetch: Callable[[str, str], str] = fetch_parameter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ids = frozenset(ids)
        self._parameter = parameter
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._further: frozenset[str] = frozenset()
        self._first = ""
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fault: ParameterUnavailable | None = None

    def check(self, client_id: object) -> None:
        """Raise Unauthenticated if the client is not accepted.

        Raises:
            SigningKeysUnavailable: the parameter has not been read yet, and SSM does not answer.
        """
        if isinstance(client_id, str) and (client_id in self._ids or client_id in self._known(client_id)):
            return
        if self._fault is None:
            raise Unauthenticated("client_id")
        if self._fault.decided:
            raise Unauthenticated(f"client_id; {self._fault}")
        raise _unavailable(self._fault)

    def require(self) -> None:
        """Read the parameter if that is due. Raises SigningKeysUnavailable if it is unusable."""
        self._known("")
        if self._fault is not None:
            raise _unavailable(self._fault)

    def first_further(self) -> str:
        """Return the parameter's first id, with which the pages sign people in. Raises like ``require``."""
        self._known("")
        if self._fault is not None and not self._further:
            raise _unavailable(self._fault)
        return self._first

    def _known(self, client_id: str) -> frozenset[str]:
        """Return the parameter's ids, fetched again if they are old or lack the client. The empty id lacks nowhere."""
        with self._lock:
            if self._parameter is not None and self._is_due(client_id):
                self._refresh(self._parameter)
            return self._further

    def _is_due(self, client_id: str) -> bool:
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < COOLDOWN_SECONDS:
            return False
        is_fresh = self._fetched_at is not None and now - self._fetched_at < REFRESH_AFTER_SECONDS
        return not is_fresh or bool(client_id and client_id not in self._further)

    def _refresh(self, parameter: str) -> None:
        """Fetch the ids. Those known before stay accepted if SSM does not answer, and not if it says no."""
        self._tried_at = self._clock()
        try:
            with deadlines.within(deadlines.QUESTION_SECONDS):
                ids = _client_ids(parameter, self._fetch(SETTING, parameter))
        except ParameterUnavailable as fault:
            self._fault = fault
            self._further = frozenset() if fault.decided else self._further
        else:
            self._first, self._further = ids[0], frozenset(ids)
            self._fault, self._fetched_at = None, self._clock()


def _unavailable(fault: ParameterUnavailable) -> SigningKeysUnavailable:
    return SigningKeysUnavailable(
        "The list of accepted clients could not be fetched; try again.",
        headers=retry_after(UNAVAILABLE_RETRY_SECONDS * 1000),
        reason=str(fault),
    )


def _client_ids(parameter: str, text: str) -> list[str]:
    """Parse the parameter's value. Raises ParameterUnavailable if a part of it is no client's id."""
    ids: list[str] = list(split_commas(text))
    wrong = [each for each in ids if not _CLIENT_ID.fullmatch(each)]
    if wrong or not ids:
        found = f"{wrong[0][:64]!r}" if wrong else "nothing"
        raise ParameterUnavailable(
            f"{SETTING}: the SSM parameter {parameter!r} holds {found}; wants ids of app clients, comma-separated, such"
            " as 1h57kf5cpq17m0eml12EXAMPLE"
        )
    return ids

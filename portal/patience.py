"""Ask again, less and less often, as long as nobody answers: for an outage of hours."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .errors import (
    AuthenticationError,
    FilesUnavailableError,
    ForbiddenError,
    JobNotFinishedError,
    NoSuchJobError,
    NotThePortalError,
    PortalError,
    RejectedJobError,
    RequestError,
    ServerError,
    UnreachableError,
)

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0  # s

Answer = TypeVar("Answer")

# what the portal says of the job or of the token: asking again changes nothing
_FINAL = (AuthenticationError, ForbiddenError, NoSuchJobError, RejectedJobError)
# nobody answers, or not as the portal does
_OUTAGE = (UnreachableError, ServerError, RequestError, FilesUnavailableError)
# the address is wrong, unless the portal has answered there before
_ELSEWHERE = (NotThePortalError, RequestError)


@dataclass(frozen=True)
class Outage:
    """A time without answers.

    Attributes
    ----------
    since : datetime
    reason : str
        The latest one.
    over : bool
        Whether there was an answer again.
    """

    since: datetime.datetime
    reason: str
    over: bool = False


class Patience:
    """Ask until there is an answer.

    Parameters
    ----------
    deadline : float, optional
        Seconds from now after which an outage ends the asking; never unless given.
    on_outage : callable, optional
        Told of an outage whenever there was no answer, and when it is over.
    sleep : callable
        For tests.
    """

    def __init__(
        self,
        *,
        deadline: float | None = None,
        on_outage: Callable[[Outage], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._stop = None if deadline is None else time.monotonic() + deadline
        self._tell = on_outage or (lambda outage: None)
        self._sleep = sleep
        self._answered = False

    def is_over(self, pause: float) -> bool:
        """Whether the deadline is nearer than a pause of so many seconds."""
        return self._stop is not None and time.monotonic() + pause > self._stop

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a question, however long it takes.

        Raises
        ------
        PortalError
            If there is an answer and it is no, or if something else than the portal is at the
            address from the beginning.
        JobNotFinishedError
            When the deadline is over.
        """
        outage, pause = None, FIRST_PAUSE
        while True:
            try:
                answer = question()
            except _OUTAGE as error:
                if isinstance(error, _FINAL) or self._is_elsewhere(error):
                    raise
                since = outage.since if outage else datetime.datetime.now().astimezone()
                outage = Outage(since, str(error))
                self._tell(outage)
                if self.is_over(pause):
                    raise JobNotFinishedError(
                        f"no answer since {since:%Y-%m-%d %H:%M:%S}, and the time to wait is over: "
                        f"{error}"
                    ) from error
                self._sleep(pause)
                pause = min(1.5 * pause, LONGEST_PAUSE)
            else:
                self._answered = True
                if outage:
                    self._tell(Outage(outage.since, outage.reason, over=True))
                return answer

    def _is_elsewhere(self, error: PortalError) -> bool:
        return isinstance(error, _ELSEWHERE) and not self._answered

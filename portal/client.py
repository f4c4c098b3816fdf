"""The job portal's interface, version 3, over HTTP."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from portable_cortex.errors import InvalidValueError, OutputError
from portable_cortex.host import interruption
from portable_cortex.host.untrusted import parse_json, printable
from portable_cortex.recording.job_error import last_words, python_error

from .address import is_local, parse_address
from .answers import ACTIVE, ENDED, LARGEST_ID, REMOVED, Job, parse_job
from .download import error_text
from .errors import (
    AuthenticationError,
    ForbiddenError,
    JobFailedError,
    JobNotFinishedError,
    MaintenanceError,
    NoSuchJobError,
    NotThePortalError,
    PortalError,
    RejectedJobError,
    RequestError,
    ScopeError,
    ServerError,
    SubmissionUnknownError,
    UnreachableError,
)
from .patience import Outage, Patience
from .token import Token

DEFAULT_URL = "https://nmpi-v3.hbpneuromorphic.eu"
LISTED = (*ACTIVE, *ENDED)
"""States of jobs that the portal lists: never of those that are removed."""

RETRIES = 4
TIMEOUT = 30.0  # s
LONGEST_TEXT = 500  # characters of a server's message that are shown
LONGEST_COLLAB = 40  # characters: the portal's database has no room for more, and the portal fails
LARGEST_ANSWER = 64 * 1024**2  # bytes
ROLE = "look at the name of the collab, and at your role in it"


_T = TypeVar("_T")


@dataclass(frozen=True)
class _Request:
    """What the portal is asked to do, in words for its refusal."""

    job: int | None = None
    advice: str = ""


_SUBMIT = _Request(
    advice="look at the quota of the collab, your role in it (editor or administrator), and the "
    "name of the platform"
)
_LIST = _Request(advice=ROLE)


@dataclass(frozen=True)
class _Reply:
    """An answer, whole, and not larger than it may be."""

    status: int
    body: bytes
    is_page: bool


def check_url(url: str) -> str:
    """The address of a portal, to which a token may be sent.

    Raises
    ------
    InvalidValueError
        For what is no address, and for anything but https; http is allowed on this computer.

    Examples
    --------
    >>> check_url("https://example.org/")
    'https://example.org'
    """
    try:
        address = parse_address(url)
        if address.query or address.fragment:
            raise ValueError("it must end with the path")
    except ValueError as error:
        # not the address itself, which may hold a password
        raise InvalidValueError(f"the portal's address cannot be used: {error}") from None
    if address.scheme != "https" and not is_local(address):
        raise InvalidValueError(
            "the portal's address must begin with https://, since a token is sent to it, not "
            f"{printable(url, 200)}"
        )
    return str(address).rstrip("/")


class Client:
    """The portal, for one user.

    Parameters
    ----------
    token : Token
    url : str
    timeout : float, optional
        Seconds to wait for an answer, 30 unless given.
    transport : httpx.BaseTransport, optional
        For tests.
    sleep : callable
        For tests.
    """

    def __init__(
        self,
        token: Token,
        url: str = DEFAULT_URL,
        *,
        timeout: float | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._token, self.url, self._sleep = token, check_url(url), sleep
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Accept": "application/json"},
            timeout=TIMEOUT if timeout is None else timeout,
            transport=transport,
            follow_redirects=False,  # nor the token
            event_hooks={"response": [self._refuse_redirection]},
        )
        self._transport = transport

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    # --- what a user does ---------------------------------------------------------------------

    def submit(
        self,
        code: str,
        *,
        collab: str,
        platform: str = "SpiNNaker",
        hardware_config: Mapping[str, Any] | None = None,
        tag: str,
    ) -> Job:
        """Submit a job, once.

        Parameters
        ----------
        code : str
            The script itself.
        collab : str
            Name of the EBRAINS collab whose quota is used.
        platform : str
        hardware_config : mapping, optional
            E.g. ``{"timeout": 2}`` (hours).
        tag : str
            Tells the job from all others: where the answer is lost, the job is looked for by it.

        Returns
        -------
        Job

        Raises
        ------
        PortalError
            See `portable_cortex.portal.errors`.
        """
        for name, value in (("collab", collab), ("platform", platform)):
            if value != printable(value):
                raise InvalidValueError(f"the {name} must be plain text, not '{printable(value)}'")
        if len(collab) > LONGEST_COLLAB:
            raise InvalidValueError(
                f"the name of a collab has {LONGEST_COLLAB} characters at most, and "
                f"'{printable(collab, 100)}' has {len(collab)}: take the one in its address"
            )
        body = {
            "code": code,
            "collab": collab,
            "hardware_platform": platform,
            "hardware_config": dict(hardware_config or {}) or None,
            "tags": [tag],
        }
        interruption.tell(
            "the job may have been submitted all the same: look for it with `portable-cortex jobs "
            f"list --tag {tag}` before you submit it again."
        )
        try:
            return parse_job(self._json(self._send("POST", "/jobs/", _SUBMIT, json=body)))
        except (UnreachableError, ServerError, ScopeError) as error:
            if isinstance(error, MaintenanceError) or isinstance(error.__cause__, _NOT_SENT):
                raise
            # it may still be on its way; not if the token is to blame
            for pause in (0.0,) if isinstance(error, ScopeError) else (0.0, 2.0, 8.0):
                self._sleep(pause)
                with contextlib.suppress(PortalError):
                    found = self._list({"size": 1, "tags": tag})
                    if found and tag in (found[0].tags or ()):
                        return found[0]
            raise SubmissionUnknownError(
                f"{error}; the job may have been accepted all the same and is not submitted again: "
                f"look for it with `portable-cortex jobs list --tag {tag}` before you do"
            ) from error

    def job(self, job_id: int, *, with_log: bool = False) -> Job:
        """One job."""
        return self._repeat(lambda: self._look(job_id, with_log=with_log))

    def _look(self, job_id: int, *, with_log: bool = False) -> Job:
        query = {"with_log": "true"} if with_log else {}
        job = parse_job(
            self._json(self._send("GET", _path(job_id), _Request(job_id), params=query))
        )
        if job.id != job_id:
            raise NotThePortalError(
                f"{self.url} described job {job.id} when it was asked for job {job_id}: nothing is "
                "taken from it"
            )
        return job

    def list_jobs(
        self,
        *,
        size: int = 10,
        from_index: int = 0,
        status: str | None = None,
        collab: str | None = None,
        tag: str | None = None,
    ) -> list[Job]:
        """Jobs, newest first; never those that were removed."""
        query: dict[str, Any] = {"size": size, "from_index": from_index}
        texts = {"status": status, "collab": collab, "tags": tag}
        for name, value in texts.items():
            if value is not None and value != printable(value):
                raise InvalidValueError(f"the {name} must be plain text, not '{printable(value)}'")
        query.update({name: value for name, value in texts.items() if value is not None})
        return self._repeat(lambda: self._list(query))

    def _list(self, query: Mapping[str, Any]) -> list[Job]:
        found = self._json(self._send("GET", "/jobs/", _LIST, params=dict(query)))
        if not isinstance(found, list):
            raise NotThePortalError(f"the portal answered with no list of jobs but {_short(found)}")
        return [parse_job(item) for item in found]

    def log(self, job_id: int) -> str:
        """What a job has printed."""
        return self.job(job_id, with_log=True).log or ""

    def cancel(self, job_id: int) -> None:
        """Remove a job from the queue, or from the lists if it has begun.

        Raises
        ------
        PortalError
            Also for a job of somebody else.
        """
        try:
            self._send("DELETE", _path(job_id), _Request(job_id))
        except ServerError as error:
            raise type(error)(
                f"{error}; it fails so where the job is somebody else's: only who has submitted "
                "a job can remove it"
            ) from error

    def wait(
        self,
        job_id: int,
        *,
        deadline: float | None = None,
        interval: float = 2.0,
        longest_interval: float = 30.0,
        on_status: Callable[[Job], None] | None = None,
        on_outage: Callable[[Outage], None] | None = None,
    ) -> Job:
        """Wait until a job has finished, however long the portal cannot be reached meanwhile.

        A job that is removed while it runs goes on, and so does the waiting.

        Parameters
        ----------
        deadline : float, optional
            Seconds to wait at most; for ever unless given.
        interval, longest_interval : float
            Seconds between two looks, growing from the first to the second.
        on_status : callable, optional
            Told of the job whenever its state has changed.
        on_outage : callable, optional
            Told of an `Outage` whenever there was no answer, and when it is over.

        Raises
        ------
        JobNotFinishedError
            When the deadline is over; the job goes on.
        JobFailedError
            If it ended in an error, or was removed before it began.
        PortalError
            If the portal does not know the job or the token any more.
        """
        if deadline is not None and not deadline >= 0:
            raise InvalidValueError(f"the time to wait must be 0 or more, not {deadline}")
        patience = Patience(deadline=deadline, on_outage=on_outage, sleep=self._sleep)
        back = f"come back with `portable-cortex jobs fetch {job_id}`"
        before, has_begun = "", False
        while True:
            try:
                job = patience.ask(lambda: self._look(job_id))
            except (AuthenticationError, NotThePortalError, JobNotFinishedError) as error:
                raise type(error)(f"{error}; job {job_id} goes on: {back}") from error
            if job.status != before and on_status is not None:
                on_status(job)
            before = job.status
            if job.status == "finished" or (job.status == REMOVED and job.timestamp_completion):
                return job
            if job.status == "error" or (job.status == REMOVED and not has_begun):
                raise self.failure(job)
            has_begun = has_begun or job.status not in ("submitted", REMOVED)
            if patience.is_over(interval):
                raise JobNotFinishedError(
                    f"job {job_id} is {job.status} after {deadline:g} s of waiting, and goes on: "
                    f"{back}"
                )
            self._sleep(interval)
            interval = min(1.5 * interval, longest_interval)

    def failure(self, job: Job) -> JobFailedError:
        """Why a job has no results: the error of Python, from its log or from its archive."""
        if job.status == REMOVED:
            return JobFailedError(
                f"job {job.id} was removed from the queue; if it was running by then it goes on, "
                f"and `portable-cortex jobs fetch {job.id}` has its results when it has finished"
            )
        log = ""
        with contextlib.suppress(PortalError):
            log = self.log(job.id)
        lines = python_error(log)
        if not lines:
            with contextlib.suppress(PortalError, OutputError, OSError):
                lines = last_words(error_text(job, transport=self._transport))
        lines = lines or last_words(log)
        shown = "".join(f"\n  | {line}" for line in lines)
        return JobFailedError(
            f"job {job.id} ended in an error; `portable-cortex jobs log {job.id}` shows all of its "
            f"log{', of which this matters' if shown else ''}{shown}"
        )

    # --- requests -----------------------------------------------------------------------------

    def _repeat(self, read: Callable[[], _T]) -> _T:
        """Read, again after a pause where the portal failed: that is harmless."""
        for attempt in range(RETRIES):
            try:
                return read()
            except (MaintenanceError, NotThePortalError):
                raise
            except (UnreachableError, ServerError):
                if attempt == RETRIES - 1:
                    raise
            self._sleep(2**attempt * random.uniform(0.5, 1.0))
        raise AssertionError("not reached")

    def _send(self, method: str, path: str, asked: _Request, **content: Any) -> _Reply:
        try:
            with self._http.stream(method, path, headers=self._token.header(), **content) as answer:
                body = bytearray()
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        raise NotThePortalError(
                            f"{self.url} answered with more than {LARGEST_ANSWER:,} bytes: not read"
                        )
        except httpx.TimeoutException as error:
            raise UnreachableError(f"{self.url} did not answer in time") from _named(error)
        except httpx.HTTPError as error:
            text = printable(self._token.scrub(str(error)), LONGEST_TEXT)
            raise UnreachableError(
                f"no answer from {self.url}: {type(error).__name__}: {text}"
            ) from _named(error)
        is_page = "html" in answer.headers.get("content-type", "")
        reply = _Reply(answer.status_code, bytes(body), is_page)
        if answer.is_success:
            return reply
        raise self._refusal(reply, asked)

    def _refuse_redirection(self, answer: httpx.Response) -> None:
        if answer.has_redirect_location:
            address = printable(self._token.scrub(answer.headers["location"]), 300)
            raise RequestError(
                f"{self.url} has moved ({answer.status_code}) to {address}: give that address with "
                "--url if you trust it with your token"
            )

    def _refusal(self, reply: _Reply, asked: _Request) -> PortalError:
        status, reason = reply.status, self._reason(reply)
        said = reason or self._text(reply) or "no reason given"
        advice = f"; {asked.advice}" if asked.advice else ""
        if status == 401:
            return AuthenticationError(
                "the portal does not accept the token (401): it is not valid or has expired; get a "
                "new one from EBRAINS"
            )
        if status in (403, 404) and reason is None:
            return NotThePortalError(
                f"{self.url} answered {status} as the portal does not: is this its address?"
            )
        if status == 403:
            return ForbiddenError(f"the portal forbids it (403): {said}{advice}")
        if status == 404 and asked.job is None:
            return ForbiddenError(f"the portal does not find it (404): {said}{advice}")
        if status == 404:
            return NoSuchJobError(f"there is no job {asked.job} that you may see (404)")
        if status == 422:
            return RejectedJobError(f"the portal rejects the request (422): {said}")
        if status == 503:
            return MaintenanceError(f"the portal is being maintained (503): {said}")
        if status in (408, 425, 429):
            return ServerError(f"the portal is too busy ({status}): {said}")
        if status == 500 and (missing := self._token.missing_scopes()):
            return ScopeError(
                f"the portal failed (500): the token lacks the scope {' and '.join(missing)}, "
                "without which it does; get a token with the scopes openid, roles and team"
            )
        if status >= 500:
            hint = ""
            if status == 500 and reason is None and not reply.is_page:
                hint = "; so it does for a token without the scopes openid and roles, too"
            return ServerError(f"the portal failed ({status}): {said}{hint}")
        return RequestError(f"the portal answered {status}: {said}")

    def _reason(self, reply: _Reply) -> str | None:
        """The portal's own reason; None if the answer is not of its form."""
        try:
            content = parse_json(reply.body)
        except ValueError:
            return None
        if not isinstance(content, Mapping):
            return None
        detail = content.get("detail", content.get("error"))
        if isinstance(detail, list):
            detail = "; ".join(_problem(item) for item in detail)
        return None if detail is None else _short(self._token.scrub(str(detail)))

    def _text(self, reply: _Reply) -> str:
        """What is not of the portal's form, in one line; nothing of a page."""
        if reply.is_page:
            return ""
        return _short(self._token.scrub(reply.body[: 4 * LONGEST_TEXT].decode("utf-8", "replace")))

    def _json(self, reply: _Reply) -> Any:
        try:
            return parse_json(reply.body)
        except ValueError:
            raise NotThePortalError(
                f"{self.url} answered with no JSON: is this the portal?"
            ) from None


# the request did not leave this computer
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)


def _named(error: httpx.HTTPError) -> httpx.HTTPError:
    """The error without its request, whose headers hold the token."""
    return type(error)(type(error).__name__)


def _problem(item: Any) -> str:
    """One of the problems of a 422: the field and what is wrong with it."""
    if not isinstance(item, Mapping):
        return str(item)
    where = item.get("loc")
    parts = where if isinstance(where, list) else [] if where is None else [where]
    field = ".".join(str(part) for part in parts if part != "body")
    return f"{field}: {item.get('msg', '')}" if field else str(item.get("msg", item))


def _short(text: object) -> str:
    return printable(" ".join(str(text).split()), LONGEST_TEXT)


def _path(job_id: int) -> str:
    if not 1 <= job_id <= LARGEST_ID:
        raise InvalidValueError(f"the number of a job is from 1 to {LARGEST_ID}, not {job_id}")
    return f"/jobs/{job_id}"

"""The job portal's interface, version 3, over HTTP."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from portable_cortex import interruption
from portable_cortex.errors import InvalidValueError

from .errors import (
    AuthenticationError,
    ForbiddenError,
    JobFailedError,
    JobNotFinishedError,
    MaintenanceError,
    NoSuchJobError,
    PortalError,
    RejectedJobError,
    RequestError,
    ServerError,
    SubmissionUnknownError,
    UnreachableError,
)
from .token import Token

DEFAULT_URL = "https://nmpi-v3.hbpneuromorphic.eu"
STATES = ("submitted", "validated", "running", "mapped", "finished", "error", "removed")
FINAL = ("finished", "error", "removed")
RETRIES = 4
TIMEOUT = 30.0  # s
LONGEST_TEXT = 500  # characters of a server's message that are shown


class OutputFile(BaseModel):
    """One file that a job left."""

    model_config = ConfigDict(frozen=True)

    url: str
    path: str | None = None
    size: int | None = None
    hash: str | None = None


class DataSet(BaseModel):
    """All files that a job left."""

    model_config = ConfigDict(frozen=True)

    repository: str = ""
    files: tuple[OutputFile, ...] = ()


class Job(BaseModel):
    """A job as the portal describes it; what else it says is ignored."""

    model_config = ConfigDict(frozen=True)

    id: int
    status: str = "submitted"
    collab: str = ""
    hardware_platform: str = ""
    user_id: str = ""
    resource_uri: str = ""
    code: str = Field(default="", repr=False)
    tags: tuple[str, ...] | None = None
    timestamp_submission: str | None = None
    timestamp_completion: str | None = None
    provenance: Mapping[str, Any] | None = None
    output_data: DataSet | None = None
    log: str | None = Field(default=None, repr=False)

    @property
    def is_final(self) -> bool:
        """Whether the job will not change any more."""
        return self.status in FINAL


def check_url(url: str) -> str:
    """The address of a portal, to which a token may be sent.

    Raises
    ------
    InvalidValueError
        For anything but https; http is allowed on this computer.
    """
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise InvalidValueError(
            f"the portal's address must begin with https://, since a token is sent to it, not {url}"
        )
    if parts.username or parts.password:
        raise InvalidValueError("the portal's address must not hold a user or password")
    return url.rstrip("/")


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
        )

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
            return self._job(self._send("POST", "/jobs/", json=body))
        except (UnreachableError, ServerError) as error:
            if isinstance(error, MaintenanceError) or isinstance(error.__cause__, _NOT_SENT):
                raise
            for pause in (0.0, 2.0, 8.0):  # it may still be on its way
                self._sleep(pause)
                with contextlib.suppress(PortalError):
                    found = self.list_jobs(tag=tag, size=1)
                    if found:
                        return found[0]
            raise SubmissionUnknownError(
                f"{error}; the job may have been accepted all the same and is not submitted again: "
                f"look for it with `portable-cortex jobs list --tag {tag}` before you do"
            ) from error

    def job(self, job_id: int, *, with_log: bool = False) -> Job:
        """One job."""
        query = {"with_log": "true"} if with_log else {}
        return self._job(self._get(f"/jobs/{int(job_id)}", query, what=f"job {job_id}"))

    def list_jobs(
        self,
        *,
        size: int = 10,
        from_index: int = 0,
        status: str | None = None,
        collab: str | None = None,
        tag: str | None = None,
    ) -> list[Job]:
        """Jobs, newest first."""
        query: dict[str, Any] = {"size": size, "from_index": from_index}
        given = {"status": status, "collab": collab, "tags": tag}
        query.update({name: value for name, value in given.items() if value is not None})
        found = self._json(self._get("/jobs/", query))
        if not isinstance(found, list):
            raise ServerError(f"the portal answered with no list of jobs but {_short(found)}")
        return [self._parse(item) for item in found]

    def log(self, job_id: int) -> str:
        """What a job has printed."""
        return self.job(job_id, with_log=True).log or ""

    def cancel(self, job_id: int) -> None:
        """Remove a job from the queue."""
        self._send("DELETE", f"/jobs/{int(job_id)}", what=f"job {job_id}")

    def wait(
        self,
        job_id: int,
        *,
        deadline: float | None = None,
        interval: float = 2.0,
        longest_interval: float = 30.0,
        on_status: Callable[[Job], None] | None = None,
    ) -> Job:
        """Wait until a job has finished.

        Parameters
        ----------
        deadline : float, optional
            Seconds to wait at most; for ever unless given.
        interval, longest_interval : float
            Seconds between two looks, growing from the first to the second.
        on_status : callable, optional
            Told of the job whenever its state has changed.

        Raises
        ------
        JobNotFinishedError
            When the deadline is over; the job goes on.
        JobFailedError
            If it ended in an error, or was removed.
        PortalError
            If the portal cannot be asked any more; the job goes on.
        """
        stop = None if deadline is None else time.monotonic() + deadline
        back = f"come back with `portable-cortex jobs fetch {job_id}`"
        before = ""
        while True:
            try:
                job = self.job(job_id)
            except (UnreachableError, ServerError, AuthenticationError) as error:
                raise type(error)(f"{error}; job {job_id} goes on: {back}") from error
            if job.status != before and on_status is not None:
                on_status(job)
            before = job.status
            if job.status == "finished":
                return job
            if job.is_final:
                raise self.failure(job)
            if stop is not None and time.monotonic() + interval > stop:
                raise JobNotFinishedError(
                    f"job {job_id} is {job.status} after {deadline:g} s of waiting, and goes on: "
                    f"{back}"
                )
            self._sleep(interval)
            interval = min(1.5 * interval, longest_interval)

    def failure(self, job: Job) -> JobFailedError:
        """Why a job has no results, with the end of its log."""
        if job.status == "removed":
            return JobFailedError(f"job {job.id} was removed from the queue")
        lines: Sequence[str] = ()
        with contextlib.suppress(PortalError):
            lines = self.log(job.id).strip().splitlines()[-8:]
        log = "".join(f"\n  | {printable(line)}" for line in lines)
        return JobFailedError(
            f"job {job.id} ended in an error; `portable-cortex jobs log {job.id}` shows all of its "
            f"log{', which ends with' if log else ''}{log}"
        )

    # --- requests -----------------------------------------------------------------------------

    def _get(self, path: str, query: Mapping[str, Any], what: str = "") -> httpx.Response:
        """Read, again after a pause where the portal failed: that is harmless."""
        for attempt in range(RETRIES):
            try:
                return self._send("GET", path, params=dict(query), what=what)
            except MaintenanceError:
                raise
            except (UnreachableError, ServerError):
                if attempt == RETRIES - 1:
                    raise
            self._sleep(2**attempt * random.uniform(0.5, 1.0))
        raise AssertionError("not reached")

    def _send(self, method: str, path: str, *, what: str = "", **content: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, headers=self._token.header(), **content)
        except httpx.TimeoutException as error:
            raise UnreachableError(f"{self.url} did not answer in time") from _named(error)
        except httpx.HTTPError as error:
            text = self._token.scrub(str(error))
            raise UnreachableError(
                f"no answer from {self.url}: {type(error).__name__}: {text}"
            ) from _named(error)
        if answer.is_success:
            return answer
        raise self._refusal(answer, what)

    def _refusal(self, answer: httpx.Response, what: str) -> PortalError:
        status, said = answer.status_code, self._said(answer)
        if status == 401:
            return AuthenticationError(
                "the portal does not accept the token (401): it is not valid or has expired; get a "
                "new one from EBRAINS"
            )
        if status == 403:
            return ForbiddenError(
                f"the portal forbids it (403): {said or 'no reason given'}; look at the quota of "
                "the collab, your role in it, and the name of the platform"
            )
        if status == 404:
            return NoSuchJobError(f"there is no {what or 'such job'} that you may see (404)")
        if status == 422:
            return RejectedJobError(f"the portal rejects the request (422): {said}")
        if status == 503:
            return MaintenanceError(
                f"the portal is being maintained (503): {said or 'try again later'}"
            )
        if status >= 500:
            return ServerError(f"the portal failed ({status}): {said or 'no reason given'}")
        return RequestError(f"the portal answered {status}: {said or 'no reason given'}")

    def _said(self, answer: httpx.Response) -> str:
        """A server's message, in one line, short, without the token."""
        try:
            content = answer.json()
        except ValueError:
            content = "" if "html" in answer.headers.get("content-type", "") else answer.text
        if isinstance(content, Mapping):
            content = content.get("detail", content.get("error", ""))
        if isinstance(content, list):
            content = "; ".join(_problem(item) for item in content)
        return _short(self._token.scrub(str(content)))

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError:
            raise ServerError(f"{self.url} answered with no JSON: is this the portal?") from None

    def _job(self, answer: httpx.Response) -> Job:
        return self._parse(self._json(answer))

    def _parse(self, item: Any) -> Job:
        try:
            return Job.model_validate(item)
        except ValidationError as error:
            keys = ", ".join(".".join(map(str, d["loc"])) or "all" for d in error.errors())
            raise ServerError(f"the portal described a job as it should not: {keys}") from None


# the request did not leave this computer
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)


def _named(error: httpx.HTTPError) -> httpx.HTTPError:
    """The error without its request, whose headers hold the token."""
    return type(error)(type(error).__name__)


def _problem(item: Any) -> str:
    """One of the problems of a 422: the field and what is wrong with it."""
    if not isinstance(item, Mapping):
        return str(item)
    where = item.get("loc", ())
    field = ".".join(str(part) for part in where if part != "body") if where else ""
    return f"{field}: {item.get('msg', '')}" if field else str(item.get("msg", item))


def _short(text: Any) -> str:
    line = " ".join(printable(str(text)).split())
    return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]} ..."


def printable(text: str) -> str:
    r"""A server's text without what would command a terminal.

    Examples
    --------
    >>> printable("a\x1b[31mb")
    'a[31mb'
    """
    return "".join(c for c in text if c.isprintable() or c in "\n\t")

"""What the portal answers, as plain types. Its text is made printable here, where it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from portable_cortex.host.untrusted import printable, printable_lines

from .errors import NotThePortalError

ACTIVE = ("submitted", "validated", "running", "mapped")
ENDED = ("finished", "error")
REMOVED = "removed"
"""Not final: a job that runs goes on, and its end makes it ``finished`` or ``error`` again."""

LARGEST_ID = 2**31 - 1  # the portal's database has no larger ones

Line = Annotated[str, AfterValidator(printable)]
Lines = Annotated[str, AfterValidator(printable_lines)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class OutputFile(_Answer):
    """One file that a job left."""

    url: str
    path: Line | None = None
    size: int | None = None
    hash: Line | None = None


class DataSet(_Answer):
    """All files that a job left."""

    repository: Line = ""
    files: tuple[OutputFile, ...] = ()


class ResourceUsage(_Answer):
    """What the portal has counted against a quota."""

    value: float
    units: Line


class Job(_Answer):
    """A job as the portal describes it; what else it says is ignored."""

    id: int = Field(strict=True, ge=1, le=LARGEST_ID)
    status: Line = "submitted"
    collab: Line = ""
    hardware_platform: Line = ""
    user_id: Line = ""
    resource_uri: Line = ""
    code: str = Field(default="", repr=False)
    tags: tuple[Line, ...] | None = None
    timestamp_submission: Line | None = None
    timestamp_completion: Line | None = None
    resource_usage: ResourceUsage | None = None
    provenance: Mapping[str, Any] | None = None
    output_data: DataSet | None = None
    log: Lines | None = Field(default=None, repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether the job has finished or failed."""
        return self.status in ENDED


def parse_job(item: Any) -> Job:
    """A job from what an answer holds.

    Raises
    ------
    NotThePortalError
        Naming the first field that is not as it should be.

    Examples
    --------
    >>> parse_job({"id": 7}).status
    'submitted'
    >>> parse_job({"id": "7"})
    Traceback (most recent call last):
        ...
    portable_cortex.portal.errors.NotThePortalError: the portal described a job as it should not: id
    """
    try:
        return Job.model_validate(item)
    except ValidationError as error:
        names = [".".join(map(str, found["loc"])) or "all" for found in error.errors()[:3]]
        fields = ", ".join(printable(name, 100) for name in names)
        raise NotThePortalError(f"the portal described a job as it should not: {fields}") from None

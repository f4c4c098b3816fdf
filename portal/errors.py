"""What can go wrong between this computer and the job portal.

::

    PortalError                    (a PortableCortexError)
    ├── TokenError                 there is no token, or none can be had
    ├── UnreachableError           no connection, or no answer in time
    ├── ServerError                the portal failed (5xx), or answered nonsense
    │   ├── MaintenanceError       it is being maintained
    │   └── NotThePortalError      something else answers at its address
    ├── RequestError               it refused the request (4xx)
    │   ├── AuthenticationError    401: the token is not valid, or has expired
    │   │   └── ScopeError         500: the token lacks a scope
    │   ├── ForbiddenError         403: no right, no quota left, unknown platform; 404 of a collab
    │   ├── NoSuchJobError         404
    │   └── RejectedJobError       422: a field that is wrong
    ├── SubmissionUnknownError     the answer was lost: the job may have been accepted
    ├── JobNotFinishedError        results were asked for before there are any
    ├── JobFailedError             the job ended in an error, or was removed
    └── DownloadError              results that cannot be had, or that are not to be trusted
        ├── PurgedError            they have been deleted from the server
        └── FilesUnavailableError  their server fails at present (5xx)

No message contains the token.
"""

from __future__ import annotations

from portable_cortex.errors import PortableCortexError


class PortalError(PortableCortexError):
    """Base class."""


class TokenError(PortalError):
    """There is no token, or the command that should give one failed."""


class UnreachableError(PortalError):
    """No connection to the portal, or no answer in time."""


class ServerError(PortalError):
    """The portal failed, or answered what its interface does not have."""


class MaintenanceError(ServerError):
    """The portal is being maintained."""


class NotThePortalError(ServerError):
    """Something else than the portal answers at its address."""


class RequestError(PortalError):
    """The portal refused the request."""


class AuthenticationError(RequestError):
    """The token is not valid, or has expired."""


class ScopeError(AuthenticationError):
    """The portal failed, as it does for a token that lacks a scope."""


class ForbiddenError(RequestError):
    """No right for the collab or no such collab, no quota left, or an unknown platform."""


class NoSuchJobError(RequestError):
    """There is no such job, or it is somebody else's."""


class RejectedJobError(RequestError):
    """A field of the job is wrong; the message names it."""


class SubmissionUnknownError(PortalError):
    """The answer to a submission was lost; it is not repeated, since it may have arrived."""


class JobNotFinishedError(PortalError):
    """The job has no results yet, or the time to wait for them is over."""


class JobFailedError(PortalError):
    """The job ended in an error, or was removed."""


class DownloadError(PortalError):
    """Results that cannot be downloaded, or that are not what they should be."""


class FilesUnavailableError(DownloadError):
    """Results whose server fails at present."""


class PurgedError(DownloadError):
    """Results that have been deleted from the server."""

"""The EBRAINS token: from the environment or from a command, never written anywhere."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess

from portable_cortex.host.untrusted import parse_json

from .errors import TokenError

VARIABLE = "EBRAINS_TOKEN"
SCOPES = ("openid", "roles")
"""Without these the portal cannot tell who asks, and fails."""


class Token:
    """A token that does not show itself.

    Examples
    --------
    >>> token = Token("secret")
    >>> print(token, f"{token!r}", token.scrub("Bearer secret"))
    *** Token(***) Bearer ***
    """

    def __init__(self, secret: str) -> None:
        if not secret.isascii() or not secret.isprintable() or " " in secret or not secret:
            raise TokenError(
                "the token must be one word of printable ASCII characters: copy it again"
            )
        self._secret = secret

    def __repr__(self) -> str:
        return "Token(***)"

    def __str__(self) -> str:
        return "***"

    def scrub(self, text: str) -> str:
        """The text without the token."""
        return text.replace(self._secret, "***")

    def header(self) -> dict[str, str]:
        """The HTTP header that carries it."""
        return {"Authorization": f"Bearer {self._secret}"}

    def missing_scopes(self) -> tuple[str, ...]:
        """The scopes of `SCOPES` that it says it lacks; none if it says nothing of scopes."""
        parts = self._secret.split(".")
        try:
            padded = parts[1] + "=" * (-len(parts[1]) % 4)
            scope = parse_json(base64.urlsafe_b64decode(padded))["scope"]
            names = scope.split()
        except (ValueError, IndexError, KeyError, TypeError, AttributeError):
            return ()
        return tuple(name for name in SCOPES if name not in names)


def find_token(command: str | None = None) -> Token:
    """The token from a command's output, or from the environment variable ``EBRAINS_TOKEN``.

    Parameters
    ----------
    command : str, optional
        E.g. ``"pass show ebrains"``; its first line of output is the token.

    Raises
    ------
    TokenError
        If there is none.
    """
    if command is None:
        secret = os.environ.get(VARIABLE, "").strip()
        if not secret:
            raise TokenError(
                f"the portal needs a token of EBRAINS: set {VARIABLE}, or give a command that "
                "prints it with --token-command"
            )
        return Token(secret)
    try:
        words = shlex.split(command)
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        kind = type(error).__name__
        raise TokenError(f"the token command {command!r} could not be run: {kind}") from None
    lines = done.stdout.split("\n")
    # its output may be a secret even where it failed: none of it is shown
    if done.returncode or not lines[0].strip():
        raise TokenError(
            f"the token command {command!r} gave no token (exit status {done.returncode})"
        )
    return Token(lines[0].strip())

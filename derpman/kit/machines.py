"""The machine check code: what a caller says of the machine he calls from.

A browser is given a signed name of its own and adds a fingerprint; the command line sends a digest
of the machine's id. Neither is proof of anything but itself: it is for the logs.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from derpman.kit.secrets import Vault

COOKIE = "derpman_browser"
COOKIE_SECONDS = 400 * 24 * 3600  # browsers keep none longer
MACHINE_HEADER = "x-machine-code"
FINGERPRINT_HEADER = "x-browser-fingerprint"
DIGEST = re.compile(r"[0-9a-f]{32,64}")
FINGERPRINT = re.compile(r"[0-9A-Za-z_-]{8,32}")
BROWSER = re.compile(r"[0-9A-Za-z_-]{22}")


def machine_of(headers: Mapping[str, str], cookies: Mapping[str, str], vault: Vault) -> str:
    """Return `machine:<digest>`, `browser:<name>:<fingerprint>`, or an empty text for neither."""
    digest = headers.get(MACHINE_HEADER, "").lower()
    if DIGEST.fullmatch(digest):
        return f"machine:{digest}"
    name, _, signature = cookies.get(COOKIE, "").partition(".")
    if not BROWSER.fullmatch(name) or not signature.isascii():
        return ""
    if not vault.is_signed(f"browser\n{name}", signature):
        return ""
    fingerprint = headers.get(FINGERPRINT_HEADER, "")
    return f"browser:{name}:{fingerprint if FINGERPRINT.fullmatch(fingerprint) else ''}"


def new_browser(vault: Vault) -> str:
    """Return the cookie that names a browser from now on."""
    name = secrets.token_urlsafe(16)
    signature = vault.sign(f"browser\n{name}")
    return f"{name}.{signature}"

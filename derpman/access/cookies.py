"""The log-in of a browser: a cookie that no script can read, and that other sites cannot use."""

from __future__ import annotations

from fastapi import Request, Response

PAGE_HEADER = "x-derpman-page"
"""Our own pages send it. A form of another site cannot, and a script of one is not allowed to."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OTHER_SITES = frozenset({"cross-site", "same-site"})
COOKIE_SECONDS = 400 * 24 * 3600  # browsers keep none longer; the session itself ends sooner


def name(*, is_https: bool) -> str:
    """Return the cookie's name; with `__Host-` no other host of the domain can set it."""
    return "__Host-derpman_session" if is_https else "derpman_session"


def is_page(request: Request) -> bool:
    """Tell whether a request comes from a page of ours, as far as the browser says."""
    if request.headers.get("sec-fetch-site", "") in OTHER_SITES:
        return False
    return request.method in SAFE_METHODS or request.headers.get(PAGE_HEADER) == "1"


def token_of(request: Request, *, is_https: bool) -> str | None:
    """Return the token of the cookie, or None when there is none or it may not count here."""
    token = request.cookies.get(name(is_https=is_https))
    return token if token and is_page(request) else None


def keep(response: Response, token: str, *, is_https: bool) -> None:
    """Have the browser send the token with every request to this site."""
    response.set_cookie(
        name(is_https=is_https),
        token,
        max_age=COOKIE_SECONDS,
        path="/",
        secure=is_https,
        httponly=True,
        samesite="strict",
    )


def drop(response: Response, *, is_https: bool) -> None:
    """Have the browser forget the token."""
    response.delete_cookie(
        name(is_https=is_https), path="/", secure=is_https, httponly=True, samesite="strict"
    )

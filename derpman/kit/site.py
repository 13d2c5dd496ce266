"""The built web pages, served by the API process itself where no Nginx stands before it."""

from __future__ import annotations

import mimetypes
import secrets
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NONCE = "__CSP_NONCE__"
"""Stands in the built page where each answer gets a word of its own."""
NOT_PAGES = (
    "/api/",
    "/derp/",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/static-offline-docs",
    "/healthz",
    "/readyz",
    "/metrics",
)
HASHED = "/assets/"
FOR_EVER = "public, max-age=31536000, immutable"
PROTECTION = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # links of mails carry tokens
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def policy(nonce: str) -> str:
    """Return the content security policy: our own files only, styles only with the nonce."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class Site:
    """Answers for pages and their files; all else goes to the API.

    Which files there are is read once: an address is looked up and never joined to a path.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app = app
        self._page = (folder / "index.html").read_text(encoding="utf-8")
        self._files = {
            f"/{path.relative_to(folder).as_posix()}": path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "index.html" and path.suffix != ".gz"
        }
        self._zipped = {name for name, path in self._files.items() if _zip(path).is_file()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if path.startswith(NOT_PAGES):
            await self._app(scope, receive, send)
        elif path in self._files:
            await self._file(path, Headers(scope=scope))(scope, receive, send)
        elif path == "/" or "text/html" in Headers(scope=scope).get("accept", ""):
            nonce = secrets.token_urlsafe(16)
            headers = {
                **PROTECTION,
                "Content-Security-Policy": policy(nonce),
                "Cache-Control": "no-store",  # the nonce is for this answer alone
            }
            page = HTMLResponse(self._page.replace(NONCE, nonce), headers=headers)
            await page(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _file(self, name: str, asked: Headers) -> FileResponse:
        path = self._files[name]
        headers = {
            **PROTECTION,
            "Cache-Control": FOR_EVER if name.startswith(HASHED) else "no-cache",
        }
        if name in self._zipped:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in asked.get("accept-encoding", ""):
                headers["Content-Encoding"] = "gzip"
                path = _zip(path)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return FileResponse(path, headers=headers, media_type=kind)


def _zip(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")


def find(folder: Path) -> Path | None:
    """Return the folder when the pages were built, else None."""
    return folder if (folder / "index.html").is_file() else None

"""The built pages as the API process serves them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from derpman.api import create_app
from derpman.wiring import System

HTML = {"Accept": "text/html,application/xhtml+xml"}
SCRIPT = "console.log('derpman')"


@pytest.fixture
def pages(system: System, tmp_path: Path) -> Iterator[TestClient]:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text('<meta property="csp-nonce" nonce="__CSP_NONCE__">')
    (folder / "assets" / "app-1a2b.js").write_text(SCRIPT)
    (folder / "assets" / "app-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (folder / "favicon.svg").write_text("<svg/>")
    (tmp_path / "secret.key").write_text("nobody's business")
    settings = system.settings.model_copy(update={"web_dir": folder})
    with TestClient(create_app(replace(system, settings=settings))) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/devices", "/admin/servers/7", "/verify"])
def test_every_address_of_a_page_gets_the_page(pages: TestClient, path: str) -> None:
    answer = pages.get(path, headers=HTML)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"


def test_the_policy_allows_our_files_and_the_nonce_of_this_answer(pages: TestClient) -> None:
    nonces: set[str] = set()
    for _ in range(2):
        answer = pages.get("/", headers=HTML)
        policy = answer.headers["content-security-policy"]
        nonce = re.search(r"'nonce-([\w-]+)'", policy)
        assert nonce is not None
        assert f'nonce="{nonce[1]}"' in answer.text
        assert "unsafe" not in policy
        nonces.add(nonce[1])
    assert len(nonces) == 2


def test_files_with_a_digest_in_their_name_are_kept_for_ever(pages: TestClient) -> None:
    answer = pages.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "identity"})
    assert answer.text == SCRIPT
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
    assert pages.get("/favicon.svg").headers["cache-control"] == "no-cache"


def test_who_takes_gzip_gets_what_was_packed_at_the_build(pages: TestClient) -> None:
    answer = pages.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.text == SCRIPT


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../secret.key",
        "/assets/%2e%2e/%2e%2e/secret.key",
        "/..%2f..%2fsecret.key",
        "//secret.key",
    ],
)
def test_nothing_outside_the_folder_is_given_out(pages: TestClient, path: str) -> None:
    assert "nobody's business" not in pages.get(path).text


def test_the_api_answers_as_it_does_without_pages(pages: TestClient) -> None:
    missing = pages.get("/api/nothing/here", headers=HTML)
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "not_found"
    assert pages.get("/assets/gone.js").status_code == 404
    assert pages.get("/api/user/me", headers=HTML).status_code == 401
    assert pages.post("/devices", headers=HTML).status_code == 404


def test_without_built_pages_there_is_the_api_alone(client: TestClient) -> None:
    assert client.get("/", headers=HTML).status_code == 404

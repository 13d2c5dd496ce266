"""Cases that Schemathesis makes from an OpenAPI document, sent and judged without stopping."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

JUDGES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
NOT_HELPFUL = [
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.large_base_example,
    HealthCheck.too_slow,
]
REJECTED = ["400", "401", "403", "404", "405", "409", "413", "422", "429", "503"]
TIMEOUT_S = 30
SLOW_S = 5.0
KNOWN_SHARE = 0.5


class Fuzzing:
    """One document against one address; failures are collected by what they have in common."""

    def __init__(self, url: str, document: dict[str, Any], seed: int) -> None:
        config = schemathesis.Config.from_dict(
            {
                "generation": {"with-security-parameters": False},
                "checks": {"negative_data_rejection": {"expected-statuses": REJECTED}},
            }
        )
        schema = schemathesis.openapi.from_dict(document, config=config)
        self.operations = [
            found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)
        ]
        self.statuses: Counter[int] = Counter()
        self.failures: dict[tuple[str, str], str] = {}
        """(operation, kind) to the first case that failed so, with what answered."""
        self.slowest: tuple[float, str] = (0.0, "")
        self.known: dict[str, list[Any]] = {}
        """Values of the running system by the names of fields: half of the cases use them."""
        self._url = url
        self._seed = seed
        self._random = random.Random(seed)
        self._session = requests.Session()
        self._session.trust_env = False

    def run(
        self, operation: Any, mode: GenerationMode, count: int, token: Callable[[], str]
    ) -> None:
        """Send `count` cases of one operation; `token` is asked before each of them."""

        @hypothesis.seed(self._seed)
        @hypothesis.settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # nothing is made smaller: the state moves on with every case
            suppress_health_check=NOT_HELPFUL,
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            if mode is GenerationMode.POSITIVE:
                self._use_known(case)
            self._send(case, token())

        with contextlib.suppress(Unsatisfiable):  # nothing about it can be wrong, or nothing right
            send()

    def cover(self, operation: Any, mode: GenerationMode, token: Callable[[], str]) -> None:
        """Send every parameter and field by itself, with each of its boundary values."""
        config = operation.schema.config.generation_for(operation=operation)
        for case in operation.schema.iter_coverage_cases(
            operation, generation_modes=[mode], generation_config=config
        ):
            self._send(case, token())

    def _send(self, case: Any, token: str) -> None:
        headers = {"X-Forwarded-For": f"198.51.100.{self._random.randint(1, 250)}"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            response = case.call(
                self._url, session=self._session, headers=headers, timeout=TIMEOUT_S
            )
        except requests.RequestException as error:
            self._note(case, type(error).__name__, str(error))
            return
        took = response.elapsed  # until it began: a file of many rows may take longer
        self.slowest = max(self.slowest, (took, case.operation.label))
        if took > SLOW_S:
            self._note(case, "slow", f"{took:.1f} s")
        self.statuses[response.status_code] += 1
        try:
            case.validate_response(response, checks=JUDGES, headers=headers)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._note(case, type(failure).__name__, f"{response.status_code} {failure}")

    def _note(self, case: Any, kind: str, told: str) -> None:
        words = f"{told}\n{case.as_curl_command()}"
        self.failures.setdefault((case.operation.label, kind), words[:3000])

    def _use_known(self, case: Any) -> None:
        """Put values of the running system where a case has invented ones."""
        parts = (case.path_parameters, case.query, case.body)
        for part in parts:
            if not isinstance(part, dict):
                continue
            for name in part:
                if name in self.known and self._random.random() < KNOWN_SHARE:
                    part[name] = self._random.choice(self.known[name])

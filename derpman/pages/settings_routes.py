"""HTTP of what the installation is set to."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from pydantic import SecretStr

from derpman.kit.http import RunSuperAdmin
from derpman.pages.schemas import SettingPart, SettingsOut
from derpman.settings import Settings

router = APIRouter(prefix="/api/admin", tags=["admin"])

SECTIONS = {
    "site": ("public_url", "support_contact", "trusted_proxies"),
    "mail": (
        *("smtp_host", "smtp_port", "smtp_security", "smtp_username", "smtp_password"),
        "mail_from",
    ),
    "accounts": ("session_days", "proof_minutes", "second_factor_for"),
    "acl": ("acl_grace_days", "acl_settle_seconds", "acl_rotations_per_minute", "region_base"),
    "availability": (
        *("probe_seconds", "failover_automatic", "failover_seconds"),
        *("moves_per_minute", "moves_share_percent"),
    ),
    "traffic": ("metering_seconds", "line_bytes_per_second", "server_capacity_memory_bytes"),
    "keeping": ("user_log_days", "server_log_days", "operation_log_days"),
}
"""What an owner decides; where files and services are stands in docs/settings.md."""


@router.get("/settings")
def show_settings(request: Request, _run: RunSuperAdmin) -> SettingsOut:
    """What this process was started with. Secrets are not shown, only whether they are set."""
    settings: Settings = request.app.state.system.settings
    return SettingsOut(
        settings=[
            _setting(settings, section, name)
            for section, names in SECTIONS.items()
            for name in names
        ]
    )


def _setting(settings: Settings, section: str, name: str) -> SettingPart:
    value = getattr(settings, name)
    is_secret = Settings.model_fields[name].annotation == SecretStr | None
    return SettingPart(
        section=section,
        name=name,
        variable=f"{settings.model_config.get('env_prefix', '')}{name}".upper(),
        value=None if is_secret else _plain(value),
        is_set=value not in (None, "", []),
        is_default=value == Settings.model_fields[name].get_default(call_default_factory=True),
    )


def _plain(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(cast("list[str]", value)) if isinstance(value, list) else str(value)

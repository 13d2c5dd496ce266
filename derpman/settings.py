"""Every setting, read once at start from the environment and from `.env`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from derpman.kit.secrets import key_file


class Settings(BaseSettings):
    """The configuration of one installation; each variable begins with `DERPMAN_`."""

    model_config = SettingsConfigDict(
        env_prefix="DERPMAN_", env_file=".env", extra="ignore", frozen=True
    )

    data_dir: Path = Field(
        default=Path("data"),
        description="Folder for what is not in the database: SQLite file, keys, built programs.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="SQLAlchemy URL, such as mysql+pymysql://user:password@host/derpman or "
        "postgresql+psycopg://user:password@host/derpman. Empty: SQLite in the data folder.",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="redis://… for Celery and wake-ups. Empty: files and local sockets, which is "
        "enough for one machine.",
    )
    secret_keys: SecretStr | None = Field(
        default=None,
        description="Fernet keys, separated by commas, newest first. Empty: kept in "
        "`secret.key` in the data folder and made at the first start.",
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000",
        description="Address under which customers reach the site; stands in mails and addresses.",
    )
    listen_host: str = Field(
        default="127.0.0.1", description="Address that `derpman serve` listens on."
    )
    listen_port: int = Field(default=8000, ge=1, le=65535, description="Port it listens on.")
    trusted_proxies: Annotated[list[str], NoDecode] = Field(
        default_factory=list[str],
        description="Addresses or networks of reverse proxies whose X-Forwarded-For is believed, "
        "separated by commas. Empty: the header is ignored.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe log line that is written."
    )
    log_json: bool = Field(default=False, description="Write log lines as JSON.")
    build_dir: Path = Field(
        default=Path("build"),
        description="Folder with what `derpman node build` made: node, derper, relay image.",
    )
    web_dir: Path = Field(
        default=Path("web/dist"),
        description="Folder with the built web pages. Without them the API alone is served.",
    )

    smtp_host: str = Field(default="", description="Mail server. Empty: mails wait in the queue.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="How the connection is protected; `none` only for local servers.",
    )
    smtp_username: str = Field(
        default="", description="User name at the mail server, if it wants one."
    )
    smtp_password: SecretStr | None = Field(default=None, description="Its password.")
    mail_from: str = Field(
        default="DERP Management <noreply@localhost>", description="Sender of every mail."
    )
    mail_timeout_seconds: float = Field(
        default=20, gt=0, le=120, description="Longest wait for any answer of the mail server."
    )

    allow_private_links: bool = Field(
        default=False,
        description="Let channels and linked control servers stand at private or loopback "
        "addresses. For closed networks and tests only: whoever may enter an address reaches "
        "what this machine reaches.",
    )
    tailscale_api_url: str = Field(
        default="https://api.tailscale.com",
        description="Where Tailscale's API is. Another address is for tests.",
    )
    link_poll_seconds: int = Field(
        default=300,
        ge=30,
        le=86_400,
        description="How often the devices of a linked tailnet are looked at. An unknown device "
        "that knocks makes it happen at once.",
    )
    acl_grace_days: int = Field(
        default=0, ge=0, le=30, description="Days an ACL goes on working after its 32 days."
    )
    acl_settle_seconds: float = Field(
        default=300,
        ge=1,
        le=86400,
        description="For so long no device of a customer must be on a relay of his old ACL "
        "version, and one on the new, before the old relays are retired early.",
    )
    acl_rotations_per_minute: int = Field(
        default=60,
        ge=1,
        le=10_000,
        description="For how many customers new relays may be begun in a minute over all servers, "
        "when versions are followed by the next ones.",
    )
    region_base: int = Field(
        default=931,
        ge=902,
        le=996,
        description="First of the three DERP region ids a customer gets unless he needs others.",
    )
    ip2region_path: Path | None = Field(
        default=None, description="An ip2region .xdb file for places down to the city. Optional."
    )
    server_capacity_memory_bytes: int = Field(
        default=64 * 1024 * 1024,
        gt=0,
        description="Memory that one relay is planned with when a capacity is proposed.",
    )
    metering_seconds: float = Field(
        default=30,
        ge=1,
        le=300,
        description="How often the servers' worker writes down what relays sent. Quotas that are "
        "near do not wait for it.",
    )
    line_bytes_per_second: int = Field(
        default=1_250_000_000,
        gt=0,
        description="What a server's line can carry at most. A count beyond it is not billed "
        "until an admin has looked at it.",
    )
    probe_seconds: float = Field(
        default=0.5,
        ge=0.1,
        le=30,
        description="How often the servers' worker looks at each server. Slower saves the panel's "
        "processor, and finds a dead server later.",
    )
    failover_automatic: bool = Field(
        default=True,
        description="Have the relays of a dead server replaced by themselves. Off: only by hand.",
    )
    failover_seconds: float = Field(
        default=0.5,
        ge=0,
        le=3600,
        description="How long the other servers must agree that a server is dead before its "
        "relays are replaced.",
    )
    moves_per_minute: int = Field(
        default=120,
        ge=1,
        le=10_000,
        description="How many relays may begin to move to other servers within a minute.",
    )
    moves_share_percent: int = Field(
        default=40,
        ge=1,
        le=100,
        description="Which share of all relays may move by themselves within an hour. Beyond it "
        "an alert waits for an operator, since so many dead servers are unlikely.",
    )
    alipay_url: str = Field(
        default="https://openapi.alipay.com/gateway.do",
        description="Where Alipay's gateway is. Another address is for its sandbox and for tests.",
    )
    wechatpay_url: str = Field(
        default="https://api.mch.weixin.qq.com",
        description="Where WeChat Pay's API is. Another address is for tests.",
    )
    session_days: int = Field(
        default=30, ge=1, le=365, description="Days a log-in lasts without use."
    )
    second_factor_for: Annotated[
        list[Literal["user", "distributor", "admin", "super_admin"]], NoDecode
    ] = Field(
        default_factory=list[Literal["user", "distributor", "admin", "super_admin"]],
        description="Roles whose accounts must have a second factor, separated by commas, such "
        "as `distributor,admin,super_admin`. One without it can do nothing but set it up.",
    )
    proof_minutes: int = Field(
        default=15,
        ge=1,
        le=1440,
        description="How long after a log-in, or after showing it once more, somebody may do what "
        "hurts: change roles, servers' keys, receiving accounts, refund, delete.",
    )
    user_log_days: int = Field(
        default=400,
        ge=0,
        description="Days the user log, which has log-ins with place and browser, is kept; "
        "0: for ever. The history of use is kept for ever in any case.",
    )
    server_log_days: int = Field(
        default=400, ge=0, description="Days the server log is kept; 0: for ever."
    )
    operation_log_days: int = Field(
        default=0,
        ge=0,
        description="Days the operation log is kept; 0: for ever. Its chain stays whole.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="What Prometheus shows to read `/metrics`, and Alertmanager to hand alerts "
        "over. Empty: nobody may.",
    )
    support_contact: str = Field(
        default="the administrators",
        description="Whom a suspended user is told to ask: an address, a number, a sentence.",
    )

    @field_validator("trusted_proxies", "second_factor_for", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @property
    def is_embedded(self) -> bool:
        """Tell whether this installation runs without Redis, on one machine."""
        return self.redis_url is None

    @cached_property
    def database(self) -> str:
        """Return the database URL, with its password: never log it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.resolve() / 'derpman.sqlite'}"

    @cached_property
    def broker(self) -> str:
        """Return Celery's broker: Redis, or folders on this machine."""
        return "folder://" if self.redis_url is None else self.redis_url.get_secret_value()

    @cached_property
    def vault_keys(self) -> list[str]:
        """Return the keys that protect secrets at rest, newest first."""
        if self.secret_keys is not None:
            return [key.strip() for key in self.secret_keys.get_secret_value().split(",")]
        assert self.key_file is not None
        return key_file(self.key_file)

    @property
    def key_file(self) -> Path | None:
        """Return where those keys are kept, or None when the environment has them."""
        return None if self.secret_keys is not None else self.data_dir / "secret.key"

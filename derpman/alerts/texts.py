"""What alerts say, in both languages; `{names}` are filled in from an alert's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Text:
    en: str
    zh: str


TEXTS: dict[str, Text] = {
    "server_unreachable": Text(
        en="Server {server_id} ({region}, {ip}) cannot be reached: {error}",
        zh="服务器 {server_id}（{region}，{ip}）无法连接：{error}",
    ),
    "unordered_relay": Text(
        en="Relay {relay_id} on server {server_id} was ordered by nobody and is being removed",
        zh="服务器 {server_id} 上的中继 {relay_id} 没有对应的租赁，正在移除",
    ),
    "foreign_container": Text(
        en="A container on server {server_id} used our names without an order and was removed",
        zh="服务器 {server_id} 上有容器冒用本系统的名称，已移除",
    ),
    "not_enough_servers": Text(
        en="A customer could not be served: {wanted} servers are needed and {fit} are fit",
        zh="有客户无法开通服务：需要 {wanted} 台服务器，可用的只有 {fit} 台",
    ),
    "mail_waiting": Text(
        en="{count} mails have waited for the mail server for over five minutes: {error}",
        zh="有 {count} 封邮件等待发送超过五分钟：{error}",
    ),
    "channel_failing": Text(
        en="The channel “{name}” takes no messages: {error}",
        zh="通知渠道“{name}”无法送达消息：{error}",
    ),
    "mail_refused": Text(
        en="The mail server refused a mail to {address} for good: {reason}",
        zh="邮件服务器拒收发往 {address} 的邮件：{reason}",
    ),
}


def sentence(alert_type: str, params: Mapping[str, Any], locale: str = "en") -> str:
    """Return what an alert says. Never raises: an alert without a text must still be raised."""
    text = TEXTS.get(alert_type)
    if text is None:
        return f"{alert_type} {dict(params)}"
    known = {name: value for name, value in params.items() if value is not None}
    return (text.zh if locale == "zh-CN" else text.en).format_map(_Shown(known))


class _Shown(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "?"

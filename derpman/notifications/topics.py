"""What channels can be told of, in both languages; `{names}` are facts of the event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALERT = "alert"
TEST = "test"
SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True)
class Topic:
    en: str
    zh: str


TOPICS: dict[str, Topic] = {
    ALERT: Topic(en="{message}", zh="{message}"),
    "rental.activated": Topic(
        en="User {user_id} activated rental {rental_id}",
        zh="用户 {user_id} 开通了租赁 {rental_id}",
    ),
    "rental.renewed": Topic(
        en="User {user_id} renewed rental {rental_id}",
        zh="用户 {user_id} 续费了租赁 {rental_id}",
    ),
    "rental.ended": Topic(
        en="Rental {rental_id} of user {user_id} ended",
        zh="用户 {user_id} 的租赁 {rental_id} 已结束",
    ),
    "user.deregistering": Topic(
        en="Account {user_id} is being deregistered", zh="用户 {user_id} 正在注销"
    ),
    "user.deregistered": Topic(en="Account {user_id} was deregistered", zh="用户 {user_id} 已注销"),
    "user.suspended": Topic(en="User {user_id} was suspended", zh="用户 {user_id} 已被停用"),
    "user.reinstated": Topic(en="User {user_id} was reinstated", zh="用户 {user_id} 已恢复"),
}
"""Alerts, and names of events that `wiring` hands to `notifications.announce`."""
TEST_TEXT = Topic(
    en="This is a test of the channel “{name}” of DERP Management",
    zh="这是 DERP 管理系统渠道“{name}”的测试消息",
)


def text_of(topic: Topic, facts: Mapping[str, Any], locale: str) -> str:
    """Return what a topic says; a fact that is missing is shown as such."""
    return (topic.zh if locale == "zh-CN" else topic.en).format_map(_Shown(facts))


class _Shown(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "?"

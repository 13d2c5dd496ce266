"""What alerts say, in both languages; `{names}` are filled in from an alert's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from derpman.kit.money import with_yuan


@dataclass(frozen=True)
class Text:
    en: str
    zh: str


TEXTS: dict[str, Text] = {
    "monitored": Text(
        en="Monitoring says ({name}): {summary}",
        zh="监控告警（{name}）：{summary_zh}",
    ),
    "server_unreachable": Text(
        en="Server {server_id} ({region}, {ip}) cannot be reached: {error}",
        zh="服务器 {server_id}（{region}，{ip}）无法连接：{error}",
    ),
    "upgrade_failed": Text(
        en="Upgrade {upgrade_id} is paused: server {server_id} ({ip}) could not be upgraded and "
        "went back to what it had ({error})",
        zh="升级任务 {upgrade_id} 已暂停：服务器 {server_id}（{ip}）升级失败，"
        "已回滚到之前的版本（{error}）",
    ),
    "relays_unreachable": Text(
        en="Server {server_id} ({region}, {ip}) answers the panel, and its relays cannot be "
        "reached from outside: look at its firewall and the cloud's security group",
        zh="服务器 {server_id}（{region}，{ip}）可以连接，但其中继无法从外部访问："
        "请检查防火墙和云平台的安全组",
    ),
    "server_dead": Text(
        en="Server {server_id} ({region}, {ip}) is dead: {observers} other servers agree; its "
        "relays are moved",
        zh="服务器 {server_id}（{region}，{ip}）已失效：{observers} 台其他服务器一致确认，"
        "其中继正在迁移",
    ),
    "moves_frozen": Text(
        en="The panel has lost {lost} of {servers} servers at once: it is probably cut off itself, "
        "and moves no relays by itself until that is over",
        zh="面板同时失去了 {servers} 台服务器中的 {lost} 台：很可能是面板自身断网，"
        "恢复之前不会自动迁移中继",
    ),
    "moves_limited": Text(
        en="{waiting} relays wait to be moved: more than {percent}% of all have moved by "
        "themselves within an hour. Look at the servers, and move the others by hand",
        zh="有 {waiting} 个中继等待迁移：一小时内自动迁移已超过全部中继的 {percent}%。"
        "请检查服务器，其余的请手动迁移",
    ),
    "move_failed": Text(
        en="Relay {slot} of user {user_id} could not be moved: the next relay did not come up on "
        "{tries} servers. See the servers' logs",
        zh="用户 {user_id} 的中继 {slot} 迁移失败：新中继在 {tries} 台服务器上均未启动，"
        "请查看服务器日志",
    ),
    "moves_stuck": Text(
        en="Relay {slot} of user {user_id} cannot leave server {server_id}: {error}. Add servers, "
        "or capacity",
        zh="用户 {user_id} 的中继 {slot} 无法迁出服务器 {server_id}：{error}。请增加服务器或容量",
    ),
    "owed_to_deregistered": Text(
        en="User {user_id} ({username}) is deregistered, and {amount} stay owed to him; orders not "
        "settled: {orders}",
        zh="用户 {user_id}（{username}）已自动注销，仍欠其 {amount}；未结清订单：{orders}",
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
    "acl_rotation_failed": Text(
        en="The next ACL version of user {user_id} ({username}) could not be made ({error}); it is "
        "tried again, and his present one ends on its day 32",
        zh="用户 {user_id}（{username}）的下一个 ACL 配置版本生成失败（{error}）；系统会自动重试，"
        "当前版本仍将在第 32 天失效",
    ),
    "traffic_impossible": Text(
        en="Relay {relay_id} on server {server_id} reports {bytes} bytes within {seconds} s, more "
        "than its line can carry: not billed until somebody decides",
        zh="服务器 {server_id} 上的中继 {relay_id} 在 {seconds} 秒内上报 {bytes} 字节，"
        "超过线路能力，在人工确认前不计费",
    ),
    "traffic_drift": Text(
        en="Server {server_id} ({ip}): its network card sent {card_megabytes} MB within an hour, "
        "its relays say {relay_megabytes} MB, for which about {expected_megabytes} MB would fit",
        zh="服务器 {server_id}（{ip}）：一小时内网卡发送 {card_megabytes} MB，中继合计 "
        "{relay_megabytes} MB，按此应约为 {expected_megabytes} MB",
    ),
    "server_allowance": Text(
        en="Server {server_id} ({ip}) has used {percent}% of its monthly traffic and takes no new "
        "customers",
        zh="服务器 {server_id}（{ip}）本月流量已使用 {percent}%，不再接收新用户",
    ),
    "server_margin": Text(
        en="Server {server_id} ({ip}) has used {percent}% of its monthly traffic, its margin: "
        "{action}",
        zh="服务器 {server_id}（{ip}）本月流量已使用 {percent}%，达到设定的界限：{action}",
    ),
    "payment_amount": Text(
        en="Order {order} costs {wanted_fen} and {channel} says that {paid_fen} were paid "
        "(trade {trade_no}): not booked until somebody has looked at it",
        zh="订单 {order} 应付 {wanted_fen}，{channel} 通知实付 {paid_fen}"
        "（交易号 {trade_no}），在人工核对前不入账",
    ),
    "ledger_differs": Text(
        en="The ledger does not agree with itself: {what}",
        zh="账本核对不一致：{what}",
    ),
    "order_stuck": Text(
        en="Order {order} is paid and was not delivered for over ten minutes",
        zh="订单 {order} 已支付，超过十分钟仍未开通",
    ),
    "mail_waiting": Text(
        en="{count} mails have waited for the mail server for over five minutes: {error}",
        zh="有 {count} 封邮件等待发送超过五分钟：{error}",
    ),
    "channel_failing": Text(
        en="The channel “{name}” takes no messages: {error}",
        zh="通知渠道“{name}”无法送达消息：{error}",
    ),
    "rate_too_high": Text(
        en="User {user_id} ({username}) has sent {megabytes_per_second} MB/s on average for "
        "{minutes} minutes; the limit is {limit}",
        zh="用户 {user_id}（{username}）在 {minutes} 分钟内平均速率为 {megabytes_per_second} MB/s，"
        "上限为 {limit}",
    ),
    "quota_passed": Text(
        en="User {user_id} ({username}) has used up {limit_gigabytes} GB of traffic",
        zh="用户 {user_id}（{username}）已用完 {limit_gigabytes} GB 流量",
    ),
    "sudden_change": Text(
        en="User {user_id} ({username}) sent {gigabytes} GB within an hour; at this hour of a "
        "week he usually sends {usual_gigabytes} GB",
        zh="用户 {user_id}（{username}）一小时内发送 {gigabytes} GB，"
        "以往每周同一时段通常为 {usual_gigabytes} GB",
    ),
    "many_addresses": Text(
        en="A device of user {user_id} ({username}) came from {networks} networks within "
        "{minutes} minutes: {node_key}",
        zh="用户 {user_id}（{username}）的一台设备在 {minutes} 分钟内来自 {networks} 个网络："
        "{node_key}",
    ),
    "unknown_flood": Text(
        en="{devices} unknown devices tried the relays of user {user_id} ({username}) within "
        "{minutes} minutes",
        zh="{minutes} 分钟内有 {devices} 台未知设备尝试连接用户 {user_id}（{username}）的中继",
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
    return (text.zh if locale == "zh-CN" else text.en).format_map(_Shown(with_yuan(known)))


class _Shown(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "?"

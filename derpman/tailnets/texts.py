"""What went wrong with a control server, in words a customer can act on; keyed by code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from derpman.tailnets.control import Trouble

TEXTS: dict[str, tuple[str, str]] = {
    Trouble.CREDENTIAL_REFUSED: (
        (
            "Tailscale 不接受这个 OAuth 客户端。请在管理控制台的 Trust credentials 页面新建一个，"
            "并在这里替换。"
        ),
        (
            "Tailscale does not accept this OAuth client. Make a new one on the page “Trust "
            "credentials” of its admin console, and replace it here."
        ),
    ),
    Trouble.KEY_REFUSED: (
        (
            "headscale 不接受这个 API 密钥：可能已过期或被撤销。请运行 headscale apikeys create "
            "新建一个，并在这里替换。"
        ),
        (
            "headscale does not accept this API key: it has expired or was revoked. Make a new one "
            "with `headscale apikeys create`, and replace it here."
        ),
    ),
    Trouble.SCOPE_MISSING: (
        "OAuth 客户端缺少权限 {scope}。请新建一个带此权限的客户端，并在这里替换。",
        (
            "The OAuth client lacks the scope {scope}. Make a new one that has it, and replace it "
            "here."
        ),
    ),
    Trouble.WRONG_TAILNET: (
        "这个 OAuth 客户端不属于 tailnet“{tailnet}”。请检查名称，或留空以使用它自己的 tailnet。",
        (
            "This OAuth client does not belong to the tailnet “{tailnet}”. Check the name, or "
            "leave it empty for the client's own."
        ),
    ),
    Trouble.NO_API: (
        "该地址上没有 headscale 的 API。请填写 headscale 的 server_url（不带路径）。",
        (
            "There is no API of headscale at this address. Give headscale's server_url, without a "
            "path."
        ),
    ),
    Trouble.RATE_LIMITED: (
        "控制服务器要求我们放慢速度，稍后会自动重试。",
        "The control server wants us to slow down. We try again by ourselves.",
    ),
    Trouble.SERVER_ERROR: (
        "控制服务器出错（{status}），稍后会自动重试。",
        "The control server has trouble of its own ({status}). We try again by ourselves.",
    ),
    Trouble.UNEXPECTED: (
        "控制服务器的回答不是预期的（{status}）。请检查地址。",
        "The control server gives an answer we did not expect ({status}). Check the address.",
    ),
    Trouble.NO_ANSWER: (
        "控制服务器没有回答（{reason}），稍后会自动重试。",
        "The control server does not answer ({reason}). We try again by ourselves.",
    ),
    Trouble.UNREADABLE: (
        "控制服务器的回答无法读取，稍后会自动重试。",
        "The control server's answer cannot be read. We try again by ourselves.",
    ),
    Trouble.ADDRESS_REFUSED: (
        "不能访问该地址：{reason}。请填写可从公网访问的地址。",
        "This address is not asked: {reason}. Give one that is reachable from the internet.",
    ),
    Trouble.SECRET_LOST: (
        "保存的密钥已无法读取。请重新填写。",
        "The stored secret cannot be read any more. Enter it again.",
    ),
    Trouble.POLICY_REFUSED: (
        "Tailscale 不接受合并后的策略：{message} {details}",
        "Tailscale does not take the policy with our part in it: {message} {details}",
    ),
    Trouble.POLICY_UNFIT: (
        "您的策略中有内容与中继冲突，或无法读取（{findings}）。请修改后重试。",
        (
            "Something in your policy is in the way or cannot be read ({findings}). Change it and "
            "try again."
        ),
    ),
    Trouble.POLICY_KEEPS_CHANGING: (
        "策略正被他人反复修改，稍后会自动重试。",
        "Somebody else keeps changing the policy. We try again by ourselves.",
    ),
    Trouble.CHANGED_SINCE: (
        "推送之后 derpMap 部分又被修改过；撤销会丢失这些修改，请手工处理。",
        (
            "The derpMap part was changed since it was pushed; to undo would lose that. Change it "
            "by hand."
        ),
    ),
    Trouble.NO_ETAG: (
        "控制服务器没有给出策略的版本标记；为避免覆盖他人的修改，我们不写入。",
        (
            "The control server does not say which state of the policy this is. Not to overwrite "
            "anybody's change, we write nothing."
        ),
    ),
    Trouble.NO_ACL: (
        "目前没有可推送的 ACL：它随有效的租赁提供。",
        "There is no ACL to push: it comes with an active rental.",
    ),
}


def text_of(code: str, params: str | None, locale: str) -> str:
    """Return what a code means in a language; `params` is JSON."""
    zh, en = TEXTS[code]
    facts: Mapping[str, Any] = json.loads(params) if params else {}
    shown = {name: _plain(value) for name, value in facts.items()}
    return (zh if locale == "zh-CN" else en).format_map(_Known(shown)).strip()


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return "; ".join(str(one) for one in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""

import { CheckOutlined, CopyOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

/** Puts a text on the clipboard, also where a page without HTTPS may not use the new way. */
export async function toClipboard(text: string): Promise<void> {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.setAttribute("readonly", "");
  field.style.position = "fixed";
  field.style.opacity = "0";
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

/** A button that copies; `label` says what, when it is not plain from what stands beside it. */
export function Copy(props: {
  text: string | (() => Promise<string>);
  label?: string;
  plain?: boolean;
}) {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await toClipboard(typeof props.text === "string" ? props.text : await props.text());
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  const label = copied ? t("action.copied") : (props.label ?? t("action.copy"));
  return (
    <Button
      {...(props.plain ? { type: "text" as const, size: "small" as const } : {})}
      icon={copied ? <CheckOutlined /> : <CopyOutlined />}
      aria-label={label}
      title={label}
      onClick={() => copy().catch(() => undefined)}
    >
      {props.plain ? null : label}
    </Button>
  );
}

import { Form, Input } from "antd";
import { useTranslation } from "react-i18next";

export interface SshTyped {
  user?: string;
  password?: string;
  private_key?: string;
  passphrase?: string;
  sudo_password?: string;
  fingerprint?: string;
}

/** The access as the API takes it; empty fields are not sent. */
export function sshOf(typed: SshTyped) {
  return {
    user: typed.user?.trim() || "root",
    password: typed.password || null,
    private_key: typed.private_key?.trim() ? `${typed.private_key.trim()}\n` : null,
    passphrase: typed.passphrase || null,
    sudo_password: typed.sudo_password || null,
  };
}

/** An administrator's access, used once. */
export function SshFields() {
  const { t } = useTranslation(["app", "admin"]);
  return (
    <fieldset style={{ border: 0, padding: 0, margin: 0 }}>
      <legend className="muted small">{t("admin:servers.sshOnce")}</legend>
      <div className="tiles" style={{ gap: "0 16px" }}>
        <Form.Item name="user" label={t("admin:servers.sshUser")}>
          <Input maxLength={32} autoComplete="off" />
        </Form.Item>
        <Form.Item name="password" label={t("admin:servers.sshPassword")}>
          <Input.Password autoComplete="off" maxLength={1024} />
        </Form.Item>
        <Form.Item name="sudo_password" label={t("admin:servers.sudoPassword")}>
          <Input.Password autoComplete="off" maxLength={1024} />
        </Form.Item>
        <Form.Item name="passphrase" label={t("admin:servers.passphrase")}>
          <Input.Password autoComplete="off" maxLength={1024} />
        </Form.Item>
      </div>
      <Form.Item name="private_key" label={t("admin:servers.sshKey")}>
        <Input.TextArea rows={4} className="mono" spellCheck={false} autoComplete="off" />
      </Form.Item>
      <Form.Item
        name="fingerprint"
        label={t("admin:servers.fingerprint")}
        extra={t("admin:servers.fingerprintHint")}
      >
        <Input className="mono" maxLength={64} placeholder="SHA256:" />
      </Form.Item>
    </fieldset>
  );
}

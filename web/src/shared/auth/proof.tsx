import { Alert, Form, Input, Modal } from "antd";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError, api, unwrap } from "@/api/client";
import { errorText } from "@/shared/i18n";

type Waiting = { resolve: () => void; reject: (error: unknown) => void };
let show: ((waiting: Waiting) => void) | null = null;

/** Calls, and when the server wants to know once more who it is, asks and calls again. */
export async function withProof<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const wanted = error instanceof ApiError && error.code === "access.proof_needed";
    if (!wanted || !show) throw error;
    await new Promise<void>((resolve, reject) => show?.({ resolve, reject: () => reject(error) }));
    return call();
  }
}

/** Stands in the frame of every page and asks for the password when something hurts. */
export function Prover() {
  const [waiting, setWaiting] = useState<Waiting | null>(null);
  useEffect(() => {
    show = setWaiting;
    return () => {
      show = null;
    };
  }, []);
  return waiting && <Question waiting={waiting} close={() => setWaiting(null)} />;
}

function Question({ waiting, close }: { waiting: Waiting; close: () => void }) {
  const { t } = useTranslation();
  const [refused, setRefused] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [form] = Form.useForm<{ password: string; code?: string }>();
  const prove = async (typed: { password: string; code?: string }) => {
    setBusy(true);
    try {
      await unwrap(
        api.POST("/api/user/prove", {
          body: { password: typed.password, code: typed.code?.trim() || null },
        }),
      );
      waiting.resolve();
      close();
    } catch (error) {
      setRefused(error);
      setBusy(false);
    }
  };
  const wantsCode =
    refused instanceof ApiError && /second_factor/.test(refused.code) ? refused : null;
  return (
    <Modal
      open
      title={t("proof.title")}
      okText={t("action.confirm")}
      cancelText={t("action.cancel")}
      confirmLoading={busy}
      onOk={() => form.submit()}
      onCancel={() => {
        waiting.reject(null);
        close();
      }}
      zIndex={1200}
    >
      <div className="stack">
        <p className="muted">{t("proof.text")}</p>
        {refused !== null && (
          <Alert type="error" showIcon role="alert" title={errorText(refused)} />
        )}
        <Form form={form} layout="vertical" requiredMark={false} onFinish={prove}>
          <Form.Item
            name="password"
            label={t("field.password")}
            rules={[{ required: true, message: t("field.required") }]}
          >
            <Input.Password autoComplete="current-password" autoFocus />
          </Form.Item>
          {wantsCode && (
            <Form.Item name="code" label={t("login.code")}>
              <Input autoComplete="one-time-code" className="mono" maxLength={32} />
            </Form.Item>
          )}
        </Form>
      </div>
    </Modal>
  );
}

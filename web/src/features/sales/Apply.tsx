import { Form, Input } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { Asking } from "@/shared/ui/Asking";
import type { Opened } from "@/shared/ui/Opener";
import { salesKey } from "./queries";
import { Wanted } from "./Wanted";

/** Asks the admins for serial numbers. */
export default function Apply({ open, close }: Opened) {
  const { t } = useTranslation();
  if (!open) return null;
  return (
    <Asking<{ plan_id: number; quantity: number; note?: string }>
      title={t("sales.apply")}
      text={<p className="muted">{t("sales.applyHint")}</p>}
      button={t("sales.send")}
      initial={{ quantity: 10 }}
      call={(wanted) =>
        unwrap(
          api.POST("/api/admin/my/applications", {
            body: { ...wanted, note: wanted.note?.trim() || null },
          }),
        )
      }
      changes={[salesKey]}
      done={t("sales.sent")}
      close={close}
    >
      <Wanted />
      <Form.Item name="note" label={t("sales.note")}>
        <Input maxLength={200} />
      </Form.Item>
    </Asking>
  );
}

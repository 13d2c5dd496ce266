import { Form, InputNumber } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { newKey } from "@/shared/format/key";
import { Asking } from "@/shared/ui/Asking";
import type { Opened } from "@/shared/ui/Opener";
import { salesKey } from "./queries";

/** Pays credit back from the wallet. */
export default function Repay({ owed, open, close }: Opened & { owed: number }) {
  const { t } = useTranslation();
  // Outlives the dialog: what was answered by nobody is not paid twice when it is asked again.
  const [key, setKey] = useState(newKey);
  if (!open) return null;
  return (
    <Asking<{ yuan: number }>
      title={t("sales.repay")}
      button={t("sales.repay")}
      initial={{ yuan: owed / 100 }}
      call={async (typed) => {
        await unwrap(
          api.POST("/api/admin/my/repay", {
            body: { fen: Math.round(typed.yuan * 100), request_key: key },
          }),
        );
        setKey(newKey());
      }}
      changes={[salesKey, ["wallet"]]}
      done={t("sales.repaid")}
      close={close}
    >
      <Form.Item
        name="yuan"
        label={t("sales.repayFen")}
        rules={[{ required: true, message: t("field.required") }]}
      >
        <InputNumber min={0.01} max={owed / 100} precision={2} />
      </Form.Item>
    </Asking>
  );
}

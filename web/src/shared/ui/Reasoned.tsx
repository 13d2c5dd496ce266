import type { QueryKey } from "@tanstack/react-query";
import { Alert, Form, Input, Modal } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { errorText } from "@/shared/i18n";
import { useAct } from "./act";

/** A question before something that hurts, which wants a reason that goes into the log. */
export function Reasoned(props: {
  title: string;
  text: ReactNode;
  button: string;
  call: (reason: string) => Promise<unknown>;
  changes: QueryKey[];
  done: string;
  close: () => void;
  optional?: boolean;
}) {
  const { t } = useTranslation();
  const [form] = Form.useForm<{ reason: string }>();
  const act = useAct({
    quiet: true,
    call: (typed: { reason?: string }) => props.call(typed.reason?.trim() ?? ""),
    changes: props.changes,
    done: props.done,
    after: props.close,
  });
  return (
    <Modal
      open
      title={props.title}
      okText={props.button}
      okButtonProps={{ danger: true }}
      cancelText={t("action.cancel")}
      confirmLoading={act.isPending}
      onOk={() => form.submit()}
      onCancel={props.close}
    >
      <div className="stack">
        <div>{props.text}</div>
        {act.isError && <Alert type="error" showIcon role="alert" title={errorText(act.error)} />}
        <Form form={form} layout="vertical" requiredMark={false} onFinish={act.mutate}>
          <Form.Item
            name="reason"
            label={t("field.reason")}
            rules={
              props.optional
                ? []
                : [{ required: true, whitespace: true, message: t("field.reasonNeeded") }]
            }
          >
            <Input maxLength={200} autoFocus />
          </Form.Item>
        </Form>
      </div>
    </Modal>
  );
}

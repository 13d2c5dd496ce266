import type { QueryKey } from "@tanstack/react-query";
import { Alert, Form, Modal } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { errorText } from "@/shared/i18n";
import { useAct } from "./act";

/** A dialog with a form: what was refused is shown in it, and nothing that was typed is lost. */
export function Asking<Values extends object>(props: {
  title: string;
  text?: ReactNode;
  button: string;
  initial?: Partial<Values>;
  call: (values: Values) => Promise<unknown>;
  changes: QueryKey[];
  done?: string;
  close: () => void;
  children: ReactNode;
}) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Values>();
  const act = useAct({
    quiet: true,
    call: props.call,
    changes: props.changes,
    ...(props.done ? { done: props.done } : {}),
    after: props.close,
  });
  return (
    <Modal
      open
      title={props.title}
      okText={props.button}
      cancelText={t("action.cancel")}
      confirmLoading={act.isPending}
      onOk={() => form.submit()}
      onCancel={props.close}
    >
      <div className="stack">
        {props.text}
        {act.isError && <Alert type="error" showIcon role="alert" title={errorText(act.error)} />}
        <Form
          form={form}
          layout="vertical"
          requiredMark={false}
          initialValues={props.initial ?? {}}
          onFinish={act.mutate}
        >
          {props.children}
        </Form>
      </div>
    </Modal>
  );
}

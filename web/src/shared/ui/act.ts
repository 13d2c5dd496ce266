import { type QueryKey, useMutation, useQueryClient } from "@tanstack/react-query";
import { App } from "antd";
import { useTranslation } from "react-i18next";
import { withProof } from "@/shared/auth/proof";
import { errorText } from "@/shared/i18n";

/** A call that changes something: says how it went, and reads again what it changed. */
export function useAct<Input, Output>(options: {
  call: (input: Input) => Promise<Output>;
  changes?: QueryKey[];
  done?: string | ((output: Output) => string);
  after?: (output: Output, input: Input) => void;
  /** The form shows the refusal itself. */
  quiet?: boolean;
}) {
  const client = useQueryClient();
  const { message } = App.useApp();
  return useMutation({
    mutationFn: (input: Input) => withProof(() => options.call(input)),
    onSuccess: async (output, input) => {
      await Promise.all(
        (options.changes ?? []).map((queryKey) => client.invalidateQueries({ queryKey })),
      );
      const words = typeof options.done === "function" ? options.done(output) : options.done;
      if (words) message.success(words);
      options.after?.(output, input);
    },
    onError: (error) => {
      if (!options.quiet) message.error(errorText(error), 6);
    },
  });
}

/** Asks before something that hurts: what follows is named, and the button says what it does. */
export function useAsk() {
  const { modal } = App.useApp();
  const { t } = useTranslation();
  return (ask: {
    title: string;
    text: React.ReactNode;
    button: string;
    danger?: boolean;
    do: () => Promise<unknown>;
  }) =>
    modal.confirm({
      title: ask.title,
      content: ask.text,
      okText: ask.button,
      cancelText: t("action.cancel"),
      okButtonProps: { danger: ask.danger ?? true },
      autoFocusButton: "cancel",
      onOk: () => ask.do().catch(() => undefined), // what failed has been told by the call itself
    });
}

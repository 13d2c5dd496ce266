import { useQuery } from "@tanstack/react-query";
import { Radio } from "antd";
import { useTranslation } from "react-i18next";
import type { Method } from "@/api/schema";
import { yuan } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { methodsQuery, walletQuery } from "./queries";

/** The ways of paying that are offered; a form's field. */
export function MethodChoice(props: {
  value?: Method;
  onChange?: (method: Method) => void;
  without?: Method;
}) {
  const { t } = useTranslation();
  const { data: methods } = useQuery(methodsQuery);
  const { data: wallet } = useQuery(walletQuery);
  return (
    <Radio.Group
      value={props.value}
      onChange={(event) => props.onChange?.(event.target.value)}
      options={(methods?.methods ?? [])
        .filter((one) => one !== props.without)
        .map((one) => ({
          value: one,
          label:
            one === "wallet"
              ? t("wallet.byWallet", { balance: yuan(wallet?.balance_fen) })
              : word(t as never, "wallet.by", one),
        }))}
    />
  );
}

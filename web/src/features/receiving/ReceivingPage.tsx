import { useQuery } from "@tanstack/react-query";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { moment } from "@/shared/format/format";
import { Loaded } from "@/shared/ui/Loaded";
import { Card, Facts, Page, State } from "@/shared/ui/Page";
import { AccountForm } from "./AccountForm";
import { GatewayForm } from "./GatewayForm";
import { type Known, METHODS, receivingKey } from "./methods";

/** The accounts and gateways that customers pay to. */
export function ReceivingPage() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const [edited, setEdited] = useState<Known | null>(null);
  const query = useQuery({
    queryKey: receivingKey,
    queryFn: async () => (await unwrap(api.GET("/api/finance/channels"))).channels,
  });
  return (
    <Page title={t("admin:receiving.title")} intro={t("admin:receiving.intro")}>
      <Loaded query={query}>
        {(channels) => (
          <div className="tiles">
            {METHODS.map((method) => {
              const set = channels.find((one) => one.method === method);
              return (
                <Card
                  key={method}
                  title={t(`wallet.by.${method}`)}
                  extra={
                    <Button onClick={() => setEdited({ method, set })}>
                      {t("admin:receiving.set")}
                    </Button>
                  }
                >
                  <Facts
                    rows={[
                      [
                        t("field.state"),
                        <State key="state" tone={set?.is_enabled ? "good" : "off"}>
                          {set
                            ? t(`admin:receiving.${set.is_enabled ? "on" : "off"}`)
                            : t("admin:receiving.never")}
                        </State>,
                      ],
                      ...(set?.account
                        ? ([
                            [t("admin:receiving.account"), set.account],
                            [t("admin:receiving.name"), set.account_name],
                          ] as [string, string][])
                        : []),
                      ...(set?.notify_url
                        ? ([[t("admin:receiving.notify"), set.notify_url]] as [string, string][])
                        : []),
                      ...(set
                        ? ([
                            [t("admin:receiving.changed"), moment(set.updated_at, i18n.language)],
                          ] as [string, string][])
                        : []),
                    ]}
                  />
                </Card>
              );
            })}
          </div>
        )}
      </Loaded>
      {edited &&
        (edited.method === "alipay" || edited.method === "wechat" ? (
          <GatewayForm method={edited.method} set={edited.set} close={() => setEdited(null)} />
        ) : (
          <AccountForm method={edited.method} set={edited.set} close={() => setEdited(null)} />
        ))}
    </Page>
  );
}

import { useQuery } from "@tanstack/react-query";
import { lazy } from "react";
import { useTranslation } from "react-i18next";
import { yuan } from "@/shared/format/format";
import { Loaded } from "@/shared/ui/Loaded";
import { Opener } from "@/shared/ui/Opener";
import { Card, Facts, Page } from "@/shared/ui/Page";
import { Applications } from "./Applications";
import { summaryQuery } from "./queries";

const Apply = lazy(() => import("./Apply"));
const Purchase = lazy(() => import("./Purchase"));
const Repay = lazy(() => import("./Repay"));

/** What a distributor sees first: his class, money, stock and applications. */
export function SalesPage() {
  const { t } = useTranslation();
  const summary = useQuery(summaryQuery);
  return (
    <Page
      title={t("sales.title")}
      intro={t("sales.intro")}
      extra={
        <>
          <Opener dialog={(opened) => <Apply {...opened} />}>{t("sales.apply")}</Opener>
          {summary.data && (
            <Opener
              type="primary"
              dialog={(opened) => (
                <Purchase {...opened} mayGenerate={summary.data.terms.may_generate} />
              )}
            >
              {t("sales.buy")}
            </Opener>
          )}
        </>
      }
    >
      <Loaded query={summary}>
        {(found) => (
          <>
            <div className="tiles">
              <Card title={t("sales.class")}>
                <div className="figure-value">
                  {t("sales.share", {
                    level: t(`sales.level.${found.terms.level}`),
                    share: found.rate_bp / 100,
                  })}
                </div>
              </Card>
              <Card title={t("sales.stock")}>
                <div className="figure-value">{found.serials.unused ?? 0}</div>
                <p className="muted">
                  {t("sales.stockHint", {
                    used: found.serials.used ?? 0,
                    void: (found.serials.expired ?? 0) + (found.serials.revoked ?? 0),
                  })}
                </p>
              </Card>
              <Card title={t("sales.customers")}>
                <div className="figure-value">{found.customers}</div>
                <p className="muted">{t("sales.customersHint", { count: found.in_service })}</p>
              </Card>
              <Card title={t("sales.commission")}>
                <div className="figure-value">{yuan(found.commission_this_month_fen)}</div>
                <p className="muted">{t("sales.open", { open: yuan(found.sums.open_fen) })}</p>
              </Card>
              <Card
                title={t("sales.credit")}
                extra={
                  found.sums.owed_fen > 0 && (
                    <Opener
                      size="small"
                      dialog={(opened) => <Repay {...opened} owed={found.sums.owed_fen} />}
                    >
                      {t("sales.repay")}
                    </Opener>
                  )
                }
              >
                <div className="figure-value">{yuan(found.credit_free_fen)}</div>
                <p className="muted">{t("sales.owed", { owed: yuan(found.sums.owed_fen) })}</p>
              </Card>
            </div>
            <Card title={t("sales.turnover")}>
              <Facts
                rows={[
                  [t("sales.listed"), yuan(found.sums.list_fen)],
                  [t("sales.discount"), yuan(found.sums.discount_fen)],
                  [t("sales.commissionAll"), yuan(found.sums.commission_fen)],
                  [t("sales.settled"), yuan(found.sums.settled_fen)],
                  [t("sales.wallet"), yuan(found.sums.wallet_fen)],
                ]}
              />
            </Card>
          </>
        )}
      </Loaded>
      <Applications />
    </Page>
  );
}

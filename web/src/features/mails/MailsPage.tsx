import { useQuery } from "@tanstack/react-query";
import { Button, Drawer } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap, unwrapList } from "@/api/client";
import type { MailLine, MailsOut } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { ChoiceFilter, type Column, DataTable, TextFilter } from "@/shared/ui/DataTable";
import { Loaded } from "@/shared/ui/Loaded";
import { csvAddress, useListQuery, useListState } from "@/shared/ui/list";
import { Facts, Page, State } from "@/shared/ui/Page";
import { mailTone } from "@/shared/ui/tones";

const STATES = ["queued", "sending", "sent", "refused"] as const;

export function MailsPage() {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const list = useListState();
  const [shown, setShown] = useState<number | null>(null);
  const asked = list.asked(["address", "status", "user_id"]);
  const query = useListQuery(["mails", asked], async () => {
    const found = await unwrapList<MailsOut>(
      api.GET("/api/notifications/mails", { params: { query: asked as never } }),
    );
    return { rows: found.mails, next: found.next_before };
  });
  const columns: Column<MailLine>[] = [
    {
      key: "created",
      sort: "time",
      title: t("admin:mails.created"),
      render: (one) => moment(one.created_at, i18n.language),
    },
    { key: "address", title: t("admin:mails.address"), render: (one) => one.address },
    {
      key: "subject",
      title: t("admin:mails.subject"),
      render: (one) => (
        <Button type="link" size="small" style={{ padding: 0 }} onClick={() => setShown(one.id)}>
          {one.subject || word(t as never, "admin:templates.name", one.template)}
        </Button>
      ),
    },
    {
      key: "template",
      title: t("admin:mails.template"),
      render: (one) => word(t as never, "admin:templates.name", one.template),
    },
    {
      key: "status",
      title: t("field.state"),
      render: (one) => (
        <State tone={mailTone(one.status)}>{t(`admin:mails.status.${one.status}`)}</State>
      ),
    },
    {
      key: "sent",
      title: t("admin:mails.sent"),
      render: (one) => moment(one.sent_at, i18n.language),
    },
    {
      key: "attempts",
      title: t("admin:mails.attempts"),
      align: "right",
      render: (one) => one.attempts,
    },
    {
      key: "error",
      title: t("admin:mails.error"),
      hidden: true,
      render: (one) => one.error ?? "—",
    },
    {
      key: "message",
      title: "Message-ID",
      hidden: true,
      render: (one) => <span className="mono small">{one.message_id}</span>,
    },
  ];
  return (
    <Page title={t("admin:mails.title")}>
      <section className="card">
        <DataTable
          name="mails"
          list={list}
          columns={columns}
          query={query}
          csv={csvAddress("/api/notifications/mails", asked)}
          filters={
            <>
              <TextFilter list={list} name="address" label={t("admin:mails.address")} width={200} />
              <ChoiceFilter
                list={list}
                name="status"
                label={t("field.state")}
                options={STATES.map((value) => ({
                  value,
                  label: t(`admin:mails.status.${value}`),
                }))}
              />
              <TextFilter list={list} name="user_id" label={t("admin:mails.userId")} width={110} />
            </>
          }
        />
      </section>
      <Drawer
        open={shown !== null}
        onClose={() => setShown(null)}
        size={640}
        title={t("admin:mails.body")}
      >
        {shown !== null && <OneMail id={shown} />}
      </Drawer>
    </Page>
  );
}

function OneMail({ id }: { id: number }) {
  const { t, i18n } = useTranslation(["app", "admin"]);
  const query = useQuery({
    queryKey: ["mails", "one", id],
    queryFn: async () =>
      (
        await unwrap(
          api.GET("/api/notifications/mails/{mail_id}", { params: { path: { mail_id: id } } }),
        )
      ).mail,
  });
  const requeue = useAct({
    call: () =>
      unwrap(
        api.POST("/api/notifications/mails/{mail_id}/requeue", {
          params: { path: { mail_id: id } },
        }),
      ),
    changes: [["mails"]],
    done: t("admin:mails.requeued"),
  });
  return (
    <Loaded query={query}>
      {(mail) => (
        <div className="stack">
          <Facts
            rows={[
              [t("admin:mails.address"), mail.address],
              [t("admin:mails.subject"), mail.subject],
              [
                t("field.state"),
                <State key="s" tone={mailTone(mail.status)}>
                  {t(`admin:mails.status.${mail.status}`)}
                </State>,
              ],
              [t("admin:mails.sent"), moment(mail.sent_at, i18n.language)],
              [t("admin:mails.error"), mail.error ?? "—"],
              [
                "Message-ID",
                <span key="m" className="mono small">
                  {mail.message_id}
                </span>,
              ],
            ]}
          />
          <p className="muted small">{t("admin:mails.concealed")}</p>
          <pre className="code-block" style={{ whiteSpace: "pre-wrap" }}>
            {mail.text}
          </pre>
          {mail.allowed_actions.includes("requeue") && (
            <div>
              <Button
                type="primary"
                onClick={() => requeue.mutate(undefined)}
                loading={requeue.isPending}
              >
                {t("admin:mails.requeue")}
              </Button>
            </div>
          )}
        </div>
      )}
    </Loaded>
  );
}

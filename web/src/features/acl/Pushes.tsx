import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Checkbox, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { PushLine } from "@/api/schema";
import { moment } from "@/shared/format/format";
import { useAct, useAsk } from "@/shared/ui/act";
import { Diff } from "@/shared/ui/Diff";
import { Loaded } from "@/shared/ui/Loaded";
import { State, type Tone } from "@/shared/ui/Page";
import { linkKey, pushesQuery } from "./linkQueries";

const TONES: Record<string, Tone> = {
  queued: "busy",
  done: "good",
  unchanged: "good",
  failed: "bad",
  cancelled: "off",
};
const CHANGED = [linkKey, ["acl"]];

/** Writing the map into the tailnet's policy: first looked at, then done, and undone where wished. */
export function Pushes() {
  const { t } = useTranslation();
  const query = useQuery(pushesQuery);
  const [shown, setShown] = useState<number | null>(null);
  const preview = useAct({
    call: () =>
      unwrap(api.POST("/api/acl/push", { body: { preview: true, accept_unregistered: false } })),
    changes: CHANGED,
    after: ({ push }) => setShown(push.id),
  });
  return (
    <section className="stack tight" aria-label={t("link.pushes")}>
      <div className="row between">
        <h3>{t("link.pushes")}</h3>
        <Button
          type="primary"
          onClick={() => preview.mutate(undefined)}
          loading={preview.isPending}
        >
          {t("link.preview")}
        </Button>
      </div>
      <Loaded query={query}>
        {(pushes) => (
          <ul className="list">
            {pushes.length === 0 && <li className="muted">{t("link.pushesNone")}</li>}
            {pushes.map((one) => (
              <Line key={one.id} push={one} show={() => setShown(one.id)} />
            ))}
          </ul>
        )}
      </Loaded>
      {shown !== null && <OnePush id={shown} close={() => setShown(null)} />}
    </section>
  );
}

function Line({ push, show }: { push: PushLine; show: () => void }) {
  const { t, i18n } = useTranslation();
  return (
    <li className="row between">
      <State tone={TONES[push.status] ?? "plain"}>
        {t(`link.pushKind.${push.kind}`)} · {t(`link.pushStatus.${push.status}`)}
      </State>
      <span className="muted small">{moment(push.created_at, i18n.language)}</span>
      <Button size="small" onClick={show}>
        {t("action.details")}
      </Button>
    </li>
  );
}

function OnePush({ id, close }: { id: number; close: () => void }) {
  const { t, i18n } = useTranslation();
  const ask = useAsk();
  const [accepted, setAccepted] = useState(false);
  const query = useQuery({
    queryKey: [...linkKey, "push", id],
    queryFn: async () =>
      (await unwrap(api.GET("/api/acl/pushes/{push_id}", { params: { path: { push_id: id } } })))
        .push,
    refetchInterval: (found) => (found.state.data?.status === "queued" ? 5000 : false),
  });
  const push = useAct({
    call: () =>
      unwrap(
        api.POST("/api/acl/push", { body: { preview: false, accept_unregistered: accepted } }),
      ),
    changes: CHANGED,
    done: t("link.pushed"),
    after: close,
  });
  const undo = useAct({
    call: () =>
      unwrap(api.POST("/api/acl/pushes/{push_id}/undo", { params: { path: { push_id: id } } })),
    changes: CHANGED,
    done: t("link.undone"),
    after: close,
  });
  const cancel = useAct({
    call: () =>
      unwrap(api.POST("/api/acl/pushes/{push_id}/cancel", { params: { path: { push_id: id } } })),
    changes: CHANGED,
    after: close,
  });
  return (
    <Modal open title={t("link.pushes")} footer={null} onCancel={close} width={760}>
      <Loaded query={query}>
        {(seen) => (
          <div className="stack">
            <State tone={TONES[seen.status] ?? "plain"}>
              {t(`link.pushKind.${seen.kind}`)} · {t(`link.pushStatus.${seen.status}`)}
            </State>
            {seen.trouble && (
              <Alert
                type="error"
                showIcon
                title={i18n.language === "zh-CN" ? seen.trouble.message_zh : seen.trouble.message}
              />
            )}
            {seen.status !== "queued" && !seen.trouble && (
              <Diff text={seen.diff ?? ""} none={t("acl.diffNone")} />
            )}
            {seen.unregistered && seen.unregistered.length > 0 && (
              <Alert
                type="warning"
                showIcon
                title={t("link.unregistered", { names: seen.unregistered.join(", ") })}
                description={
                  <Checkbox
                    checked={accepted}
                    onChange={(event) => setAccepted(event.target.checked)}
                  >
                    {t("link.accept")}
                  </Checkbox>
                }
              />
            )}
            <div className="row">
              {seen.kind === "preview" && seen.status === "done" && (
                <Button
                  type="primary"
                  onClick={() => push.mutate(undefined)}
                  loading={push.isPending}
                >
                  {t("link.pushNow")}
                </Button>
              )}
              {seen.allowed_actions.includes("undo") && (
                <Button
                  danger
                  onClick={() =>
                    ask({
                      title: t("link.undoTitle"),
                      text: t("link.undoText"),
                      button: t("link.undo"),
                      do: () => undo.mutateAsync(undefined),
                    })
                  }
                >
                  {t("link.undo")}
                </Button>
              )}
              {seen.allowed_actions.includes("cancel") && (
                <Button onClick={() => cancel.mutate(undefined)}>{t("action.cancel")}</Button>
              )}
            </div>
          </div>
        )}
      </Loaded>
    </Modal>
  );
}

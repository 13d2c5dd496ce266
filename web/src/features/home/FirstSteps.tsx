import { CheckOutlined } from "@ant-design/icons";
import { Link } from "@tanstack/react-router";
import { Alert, Button } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { HomeOut } from "@/api/schema";
import { useMe } from "@/shared/auth/useMe";
import { countdown, day } from "@/shared/format/format";
import { homeKey } from "@/shared/live/keys";
import { useNow } from "@/shared/live/useNow";
import { useAct } from "@/shared/ui/act";
import { Card } from "@/shared/ui/Page";
import { Activate } from "./Activate";

/** Whether a device was ever there: then the map is in his tailnet. */
function wasReached(home: HomeOut): boolean {
  return home.knocks.length > 0 || home.devices.some((one) => one.last_seen_at !== null);
}

/** Tells whether the four steps still have something to say. */
export function isUnderWay(home: HomeOut): boolean {
  return !home.rental || home.devices.length === 0 || !wasReached(home);
}

export function FirstSteps({ home }: { home: HomeOut }) {
  const { t, i18n } = useTranslation();
  const me = useMe();
  const reached = wasReached(home);
  const rental = home.rental;
  const done = [true, rental !== null, reached, home.devices.length > 0];
  const present = done.indexOf(false);
  return (
    <Card title={t("home.start")} hint={t("home.startHint")}>
      <ol className="steps">
        <Step at={0} done={done} present={present} title={t("home.step1")}>
          <span className="muted">{t("home.step1Done", { email: me.email })}</span>
        </Step>
        <Step at={1} done={done} present={present} title={t("home.step2")}>
          {rental ? (
            <span className="muted">
              {t("home.step2Done", {
                plan: rental.plan,
                date: day(rental.expires_at, i18n.language),
              })}
            </span>
          ) : (
            <>
              <p className="muted">{t("home.step2Hint")}</p>
              <Activate />
            </>
          )}
        </Step>
        <Step at={2} done={done} present={present} title={t("home.step3")}>
          {reached ? (
            <span className="muted">{t("home.step3Done")}</span>
          ) : (
            rental && <Apply home={home} />
          )}
        </Step>
        <Step at={3} done={done} present={present} title={t("home.step4")}>
          {home.devices.length > 0 ? (
            <span className="muted">{t("home.step4Done", { count: home.devices.length })}</span>
          ) : (
            rental && (
              <p className="muted">
                {home.knocks.length
                  ? t("home.step4Hint", { count: home.knocks.length })
                  : t("home.step4None")}{" "}
                <Link to="/devices">{t("home.step4Open")}</Link>
              </p>
            )
          )}
        </Step>
      </ol>
    </Card>
  );
}

function Step(props: {
  at: number;
  done: boolean[];
  present: number;
  title: string;
  children: ReactNode;
}) {
  const isDone = props.done[props.at];
  const state = isDone ? "done" : props.at === props.present ? "present" : "";
  return (
    <li className={state} {...(state === "present" ? { "aria-current": "step" as const } : {})}>
      <span className="step-mark">{isDone ? <CheckOutlined aria-label="✓" /> : props.at + 1}</span>
      <div className="stack tight">
        <strong>{props.title}</strong>
        {props.children}
      </div>
    </li>
  );
}

function Apply({ home }: { home: HomeOut }) {
  const { t } = useTranslation();
  const now = useNow();
  const open = useAct({
    call: () => unwrap(api.POST("/api/security/pairing", { body: { minutes: 10 } })),
    changes: [homeKey],
  });
  const until = home.pairing.is_open ? home.pairing.until : null;
  return (
    <>
      <p className="muted">{t("home.step3Hint")}</p>
      <Alert type="warning" showIcon title={t("home.step3Warn")} />
      <div className="row">
        <Link to="/acl">
          <Button type="primary" tabIndex={-1}>
            {t("home.step3Open")}
          </Button>
        </Link>
        {until ? (
          <span>{t("home.pairingOpen", { left: countdown(until, now) })}</span>
        ) : (
          <Button onClick={() => open.mutate(undefined)} loading={open.isPending}>
            {t("home.pairing")}
          </Button>
        )}
      </div>
      <span className="muted small" role="status">
        {t("home.step3Waiting")}
      </span>
    </>
  );
}

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Alert, Button, Input } from "antd";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { HomeOut, SlotOut } from "@/api/schema";
import { day } from "@/shared/format/format";
import { errorText, word } from "@/shared/i18n";
import { homeQuery } from "@/shared/live/keys";
import { useAct } from "@/shared/ui/act";
import { Findings } from "@/shared/ui/Findings";
import { Loaded } from "@/shared/ui/Loaded";
import { Card, Page, State, type Tone } from "@/shared/ui/Page";
import { relayTone } from "@/shared/ui/relays";
import { judge, type MyRegion, read, type Verdict } from "./netcheck";

/** The doctor: what works from here, and what the customer's own paste tells. */
export function HelpPage() {
  const { t } = useTranslation();
  const query = useQuery(homeQuery);
  return (
    <Page title={t("help.title")} intro={t("help.intro")}>
      <Loaded query={query}>
        {(home) => (
          <>
            <Card title={t("help.server")} hint={t("help.serverHint")}>
              <ServerSide home={home} />
            </Card>
            <Netcheck home={home} />
            <Policy />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Line({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <li>
      <div className="row" style={{ flexWrap: "nowrap", alignItems: "baseline" }}>
        <State tone={tone}>{""}</State>
        <div>{children}</div>
      </div>
    </li>
  );
}

function ServerSide({ home }: { home: HomeOut }) {
  const { t, i18n } = useTranslation();
  const { rental, devices } = home;
  if (!rental) {
    return (
      <p>
        {t("help.noRental")} <Link to="/">{t("home.step2")}</Link>
      </p>
    );
  }
  const online = devices.filter((one) => one.connections?.length).length;
  const seen = devices.some((one) => one.last_seen_at !== null);
  return (
    <ul className="list">
      {rental.slots.map((slot) => (
        <Line key={slot.container_id} tone={relayTone(slot.observed)}>
          <strong>
            {t("home.slot", { slot: slot.slot })} · {slot.region} ({slot.region_id})
          </strong>
          <div>{aboutRelay(t as never, slot)}</div>
          <div className="muted small">{aboutUse(t as never, home, slot)}</div>
        </Line>
      ))}
      {home.period?.over_at && <Line tone="bad">{t("help.quotaOver")}</Line>}
      {rental.acl && (
        <Line tone={Date.parse(rental.acl.expires_at) > Date.now() ? "good" : "bad"}>
          {Date.parse(rental.acl.expires_at) > Date.now()
            ? t("help.aclOk", {
                version: rental.acl.version,
                date: day(rental.acl.expires_at, i18n.language),
              })
            : t("help.aclOld")}{" "}
          <Link to="/acl">{t("nav.acl")}</Link>
        </Line>
      )}
      <Line tone={devices.length === 0 ? "bad" : online ? "good" : seen ? "off" : "warn"}>
        {devices.length === 0
          ? t("help.deviceNone")
          : online
            ? t("help.deviceOk", { count: online })
            : seen
              ? t("help.deviceOffline")
              : t("help.deviceNever")}{" "}
        <Link to="/devices">{t("nav.devices")}</Link>
      </Line>
      {home.knocks.length > 0 && (
        <Line tone="warn">
          {t("help.knocks", { count: home.knocks.length })}{" "}
          <Link to="/devices">{t("nav.devices")}</Link>
        </Line>
      )}
    </ul>
  );
}

type T = (key: string, params?: object) => string;

function aboutRelay(t: T, slot: SlotOut): string {
  const reason = word(t as never, "relayReason", slot.reason);
  if (slot.observed === "ready") return t("help.relayOk");
  if (slot.observed === "starting") return t("help.relayStarting");
  if (slot.observed === "unknown") return t("help.relayUnknown");
  if (slot.observed === "stopped" || slot.observed === "gone")
    return t("help.relayStopped", { reason });
  return t("help.relayBad", { reason });
}

function aboutUse(t: T, home: HomeOut, slot: SlotOut): string {
  const count = home.devices.filter((one) =>
    one.connections?.some((at) => at.slot === slot.slot),
  ).length;
  return count ? t("help.connected", { count }) : t("help.nobody");
}

function Netcheck({ home }: { home: HomeOut }) {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const [verdicts, setVerdicts] = useState<Verdict[] | null>(null);
  const check = () => setVerdicts(judge(read(text), regionsOf(home)));
  return (
    <Card title={t("help.netcheck")} hint={t("help.netcheckHint")}>
      <Paste id="netcheck" text={text} setText={setText} check={check} />
      {verdicts && (
        <ul className="list" aria-live="polite" style={{ marginTop: 12 }}>
          {verdicts.map((one) => (
            <Line key={one.key} tone={one.tone}>
              {(t as unknown as T)(`help.verdict.${one.key}`, one.params)}
            </Line>
          ))}
        </ul>
      )}
    </Card>
  );
}

/** How the map that the customer's devices have calls each region. */
function regionsOf(home: HomeOut): MyRegion[] {
  const slots = new Map(home.rental?.slots.map((one) => [one.region_id, one.slot]));
  return [...slots].map(([id, slot]) => ({ id, code: `derp${slot}`, name: `DERP ${slot}` }));
}

function Policy() {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const lint = useAct({
    quiet: true,
    call: () => unwrap(api.POST("/api/acl/lint", { body: { text } })),
  });
  return (
    <Card title={t("help.policy")} hint={t("help.policyHint")}>
      <Paste
        id="policy"
        text={text}
        setText={setText}
        check={() => lint.mutate(undefined)}
        busy={lint.isPending}
      />
      <div aria-live="polite" style={{ marginTop: 12 }}>
        {lint.isError && <Alert type="error" showIcon title={errorText(lint.error)} />}
        {lint.data?.findings.length === 0 && (
          <Alert type="success" showIcon title={t("help.fine")} />
        )}
        {lint.data && lint.data.findings.length > 0 && <Findings findings={lint.data.findings} />}
      </div>
    </Card>
  );
}

function Paste(props: {
  id: string;
  text: string;
  setText: (text: string) => void;
  check: () => void;
  busy?: boolean;
}) {
  const { t } = useTranslation();
  return (
    <div className="stack tight">
      <label htmlFor={props.id} className="visually-hidden">
        {t("help.paste")}
      </label>
      <Input.TextArea
        id={props.id}
        className="mono"
        rows={6}
        value={props.text}
        spellCheck={false}
        placeholder={t("help.paste")}
        onChange={(event) => props.setText(event.target.value)}
      />
      <div>
        <Button
          type="primary"
          disabled={!props.text.trim()}
          loading={props.busy ?? false}
          onClick={props.check}
        >
          {t("help.check")}
        </Button>
      </div>
    </div>
  );
}

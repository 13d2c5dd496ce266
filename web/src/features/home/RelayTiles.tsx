import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { HomeOut, RelayLatencyPart, SlotOut } from "@/api/schema";
import { bytes, rate } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { Sparkline } from "@/shared/ui/drawn";
import { Card, State } from "@/shared/ui/Page";
import { bySlot, relayTone } from "@/shared/ui/relays";
import { byHour } from "./hours";

/** A tile for each of the three relays: where it stands, how it is, what it carries now. */
export function RelayTiles({ home }: { home: HomeOut }) {
  const { t } = useTranslation();
  const slots = home.rental?.slots ?? [];
  const { data } = useQuery({
    queryKey: ["latency"],
    queryFn: () => unwrap(api.GET("/api/user/latency")),
    refetchInterval: 300_000,
    staleTime: 60_000,
  });
  return (
    <section aria-label={t("home.relays")}>
      <h2 style={{ marginBottom: 12 }}>{t("home.relays")}</h2>
      <div className="tiles">
        {bySlot(slots).map(([slot, relays]) => (
          <Tile
            key={slot}
            slot={slot}
            relays={relays}
            home={home}
            latency={data?.relays.find((one) => one.slot === slot)}
          />
        ))}
      </div>
      {slots.length > 0 && !home.rental?.is_ready && (
        <p className="muted" role="status">
          {t("home.preparing")}
        </p>
      )}
    </section>
  );
}

function Tile(props: {
  slot: number;
  relays: SlotOut[];
  home: HomeOut;
  latency: RelayLatencyPart | undefined;
}) {
  const { slot, relays, home, latency } = props;
  const { t } = useTranslation();
  const newest = relays[relays.length - 1];
  if (!newest) return null;
  const ids = new Set(relays.map((one) => one.container_id));
  const traffic = home.relays.filter((one) => ids.has(one.container_id));
  const milliseconds = (value: number | null | undefined) =>
    value == null ? "—" : t("home.milliseconds", { value: Math.max(1, Math.round(value)) });
  const name = slot <= 3 ? t(`home.slot${slot as 1 | 2 | 3}`) : t("home.slot", { slot });
  const online = home.devices.filter((one) =>
    one.connections?.some((at) => at.slot === slot),
  ).length;
  return (
    <Card
      title={name}
      extra={<State tone={relayTone(newest.observed)}>{t(`observed.${newest.observed}`)}</State>}
    >
      <div className="row between">
        <strong>{newest.region}</strong>
        <span className="mono muted">
          {newest.address}:{newest.port}
        </span>
      </div>
      {newest.reason && newest.observed !== "ready" && (
        <p className="muted small">{word(t as never, "relayReason", newest.reason)}</p>
      )}
      {relays.length > 1 && <p className="muted small">{t("home.moving")}</p>}
      <dl className="facts" style={{ marginTop: 10 }}>
        <dt>{t("home.latency")}</dt>
        <dd>{milliseconds(newest.latency_ms)}</dd>
        <dt>{t("home.rate")}</dt>
        <dd>{rate(traffic.reduce((sum, one) => sum + one.rate_bytes_per_second, 0))}</dd>
        <dt>{t("home.sent")}</dt>
        <dd>{bytes(traffic.reduce((sum, one) => sum + one.sent_bytes, 0))}</dd>
        <dt>{t("home.devicesOnline")}</dt>
        <dd>{online}</dd>
      </dl>
      {latency && latency.hours.length > 0 && (
        <div style={{ marginTop: 8 }}>
          <span className="muted small">{t("home.latency24")}</span>
          <Sparkline
            values={byHour(latency.hours, (one) => [one.at, one.mean])}
            label={t("home.latencyOf", { relay: name })}
          />
        </div>
      )}
    </Card>
  );
}

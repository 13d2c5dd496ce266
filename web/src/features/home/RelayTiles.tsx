import { useTranslation } from "react-i18next";
import type { HomeOut, SlotOut } from "@/api/schema";
import { bytes, rate } from "@/shared/format/format";
import { word } from "@/shared/i18n";
import { Card, State } from "@/shared/ui/Page";
import { bySlot, relayTone } from "@/shared/ui/relays";

/** A tile for each of the three relays: where it stands, how it is, what it carries now. */
export function RelayTiles({ home }: { home: HomeOut }) {
  const { t } = useTranslation();
  const slots = home.rental?.slots ?? [];
  return (
    <section aria-label={t("home.relays")}>
      <h2 style={{ marginBottom: 12 }}>{t("home.relays")}</h2>
      <div className="tiles">
        {bySlot(slots).map(([slot, relays]) => (
          <Tile key={slot} slot={slot} relays={relays} home={home} />
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

function Tile({ slot, relays, home }: { slot: number; relays: SlotOut[]; home: HomeOut }) {
  const { t } = useTranslation();
  const newest = relays[relays.length - 1];
  if (!newest) return null;
  const ids = new Set(relays.map((one) => one.container_id));
  const traffic = home.relays.filter((one) => ids.has(one.container_id));
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
        <dt>{t("home.rate")}</dt>
        <dd>{rate(traffic.reduce((sum, one) => sum + one.rate_bytes_per_second, 0))}</dd>
        <dt>{t("home.sent")}</dt>
        <dd>{bytes(traffic.reduce((sum, one) => sum + one.sent_bytes, 0))}</dd>
        <dt>{t("home.devicesOnline")}</dt>
        <dd>{online}</dd>
      </dl>
    </Card>
  );
}

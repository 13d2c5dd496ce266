import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import type { PairingOut } from "@/api/schema";
import { countdown } from "@/shared/format/format";
import { homeKey } from "@/shared/live/keys";
import { useNow } from "@/shared/live/useNow";
import { useAct } from "@/shared/ui/act";
import { Card } from "@/shared/ui/Page";

const MINUTES = [10, 30, 60];

/** Minutes in which devices that connect are taken up by themselves. */
export function Pairing({ pairing }: { pairing: PairingOut }) {
  const { t } = useTranslation();
  const now = useNow();
  const open = useAct({
    call: (minutes: number) => unwrap(api.POST("/api/security/pairing", { body: { minutes } })),
    changes: [homeKey],
    done: t("devices.pairingStarted"),
  });
  const close = useAct({
    call: () => unwrap(api.POST("/api/security/pairing/close")),
    changes: [homeKey],
    done: t("devices.pairingEnded"),
  });
  const until =
    pairing.is_open && pairing.until && Date.parse(pairing.until) > now ? pairing.until : null;
  return (
    <Card title={t("devices.pairing")} hint={t("devices.pairingHint")}>
      {until ? (
        <div className="stack tight">
          <strong>
            {t("devices.pairingOpen", { left: countdown(until, now), taken: pairing.taken })}
          </strong>
          <div>
            <Button onClick={() => close.mutate(undefined)} loading={close.isPending}>
              {t("devices.pairingStop")}
            </Button>
          </div>
        </div>
      ) : (
        <div className="row">
          {MINUTES.map((minutes) => (
            <Button
              key={minutes}
              type={minutes === 10 ? "primary" : "default"}
              onClick={() => open.mutate(minutes)}
              disabled={open.isPending}
            >
              {t("devices.pairingStart", { minutes })}
            </Button>
          ))}
        </div>
      )}
    </Card>
  );
}

import { useQuery } from "@tanstack/react-query";
import { Button, QRCode } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { moment } from "@/shared/format/format";
import { useAct, useAsk } from "@/shared/ui/act";
import { Copy } from "@/shared/ui/Copy";
import { Loaded } from "@/shared/ui/Loaded";
import { aclKey, addressQuery } from "./queries";

/** The secret address that a headscale fetches its relays from. */
export function Address() {
  const { t, i18n } = useTranslation();
  const ask = useAsk();
  const query = useQuery(addressQuery);
  const [drawn, setDrawn] = useState(false);
  const create = useAct({
    call: () => unwrap(api.POST("/api/acl/address")),
    changes: [aclKey],
    done: t("acl.addressMade"),
  });
  const revoke = useAct({
    call: () => unwrap(api.POST("/api/acl/address/revoke")),
    changes: [aclKey],
    done: t("acl.revoked"),
  });
  return (
    <div className="stack">
      <p className="muted" style={{ margin: 0 }}>
        {t("acl.headscaleAddressHint")}
      </p>
      <Loaded query={query}>
        {(address) =>
          address?.url ? (
            <>
              <div className="code-block" style={{ whiteSpace: "normal" }}>
                <span className="mono">{address.url}</span>
              </div>
              <div className="row">
                <Copy text={address.url} />
                <Button onClick={() => setDrawn(!drawn)} aria-expanded={drawn}>
                  {t("acl.qr")}
                </Button>
                <Button
                  danger
                  onClick={() =>
                    ask({
                      title: t("acl.revokeTitle"),
                      text: t("acl.revokeText"),
                      button: t("acl.revokeAddress"),
                      do: () => revoke.mutateAsync(undefined),
                    })
                  }
                >
                  {t("acl.revokeAddress")}
                </Button>
              </div>
              {drawn && (
                <QRCode value={address.url} type="svg" size={200} color="#000" bgColor="#fff" />
              )}
              <span className="muted small">
                {t("acl.made")}: {moment(address.created_at, i18n.language)}
              </span>
            </>
          ) : (
            <div>
              <Button
                type="primary"
                onClick={() => create.mutate(undefined)}
                loading={create.isPending}
              >
                {t("acl.createAddress")}
              </Button>
            </div>
          )
        }
      </Loaded>
    </div>
  );
}

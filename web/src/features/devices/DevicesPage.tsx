import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { homeQuery } from "@/shared/live/keys";
import { Loaded } from "@/shared/ui/Loaded";
import { Page } from "@/shared/ui/Page";
import { AddDevice } from "./AddDevice";
import { DeviceList } from "./DeviceList";
import { Knocks } from "./Knocks";
import { Linked } from "./Linked";
import { Pairing } from "./Pairing";

/** Who may use the relays, who asks to, and how more of them come in. */
export function DevicesPage() {
  const { t } = useTranslation();
  const query = useQuery(homeQuery);
  const home = query.data;
  return (
    <Page
      title={t("devices.title")}
      intro={t("devices.intro")}
      extra={home?.rental && <AddDevice />}
    >
      <Loaded query={query}>
        {(found) => (
          <>
            {found.rental && (
              <div className="tiles">
                <Knocks knocks={found.knocks} devices={found.devices} />
                <Pairing pairing={found.pairing} />
              </div>
            )}
            <DeviceList devices={found.devices} limit={found.device_limit ?? null} />
            {found.rental && <Linked />}
          </>
        )}
      </Loaded>
    </Page>
  );
}

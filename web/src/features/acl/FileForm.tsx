import { useQueryClient } from "@tanstack/react-query";
import { Button, Checkbox } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { fetchFile, save } from "@/api/client";
import { useAct } from "@/shared/ui/act";
import { Copy } from "@/shared/ui/Copy";
import { aclKey } from "./queries";

/** A form that is a file. It is fetched only when asked for, because each fetch is a logged download. */
export function FileForm({
  form,
  version,
}: {
  form: "snippet" | "headscale_yaml";
  version: number;
}) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [omit, setOmit] = useState(false);
  const [shown, setShown] = useState<{ key: string; text: string } | null>(null);
  const key = `${version} ${omit}`;
  const text = shown?.key === key ? shown.text : null;
  const address = `/api/acl/download?form=${form}&omit_default_regions=${omit}`;
  const take = async () => {
    const file = await fetchFile(address);
    await client.invalidateQueries({ queryKey: [...aclKey, "downloads"] });
    return file;
  };
  const show = useAct({
    call: async () => (await take()).blob.text(),
    after: (found) => setShown({ key, text: found }),
  });
  const download = useAct({ call: take, done: t("acl.downloaded"), after: save });
  const isSnippet = form === "snippet";
  return (
    <div className="stack">
      <p className="muted" style={{ margin: 0 }}>
        {isSnippet ? t("acl.snippetHint") : t("acl.headscaleFileHint")}
      </p>
      {isSnippet && (
        <div>
          <Checkbox checked={omit} onChange={(event) => setOmit(event.target.checked)}>
            {t("acl.omit")}
          </Checkbox>
          {omit && <p className="muted small">{t("acl.omitHint")}</p>}
        </div>
      )}
      <div className="row">
        <Button type="primary" onClick={() => show.mutate(undefined)} loading={show.isPending}>
          {t("acl.show")}
        </Button>
        {text !== null && (
          <Copy text={text} label={isSnippet ? t("acl.copyText") : t("action.copy")} />
        )}
        <Button onClick={() => download.mutate(undefined)} loading={download.isPending}>
          {t("acl.downloadFile")}
        </Button>
      </div>
      {text !== null && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        <pre className="code-block" tabIndex={0}>
          {text}
        </pre>
      )}
    </div>
  );
}

import { Alert, Button, Checkbox, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, unwrap } from "@/api/client";
import { errorText } from "@/shared/i18n";
import { useAct } from "@/shared/ui/act";
import { Copy } from "@/shared/ui/Copy";
import { Diff } from "@/shared/ui/Diff";
import { Findings, findingsOf } from "@/shared/ui/Findings";
import { aclKey } from "./queries";

/** The customer's whole policy with his three regions in it, and what that changes. */
export function Merge() {
  const { t } = useTranslation();
  const [policy, setPolicy] = useState("");
  const [omit, setOmit] = useState(false);
  const merge = useAct({
    quiet: true,
    call: () =>
      unwrap(api.POST("/api/acl/merge", { body: { policy, omit_default_regions: omit } })),
    changes: [[...aclKey, "downloads"]],
  });
  const remove = useAct({
    quiet: true,
    call: () => unwrap(api.POST("/api/acl/remove_from", { body: { policy } })),
  });
  const error = merge.error ?? remove.error;
  const made = merge.data ?? remove.data;
  const faults = findingsOf(error);
  const run = (one: typeof merge | typeof remove, other: typeof merge | typeof remove) => {
    other.reset();
    (one.mutate as (input: undefined) => void)(undefined);
  };
  return (
    <div className="stack">
      <p className="muted" style={{ margin: 0 }}>
        {t("acl.mergeHint")}
      </p>
      <label htmlFor="policy">{t("acl.policy")}</label>
      <Input.TextArea
        id="policy"
        className="mono"
        rows={10}
        value={policy}
        spellCheck={false}
        placeholder={t("acl.policyHint")}
        onChange={(event) => setPolicy(event.target.value)}
      />
      <Checkbox checked={omit} onChange={(event) => setOmit(event.target.checked)}>
        {t("acl.omit")}
      </Checkbox>
      <div className="row">
        <Button type="primary" loading={merge.isPending} onClick={() => run(merge, remove)}>
          {t("acl.doMerge")}
        </Button>
        <Button
          disabled={!policy.trim()}
          loading={remove.isPending}
          onClick={() => run(remove, merge)}
        >
          {t("acl.removeFrom")}
        </Button>
      </div>
      {error && <Alert type="error" showIcon role="alert" title={errorText(error)} />}
      {faults.length > 0 && <Findings findings={faults} />}
      {made && (
        <>
          {merge.data?.is_new && <Alert type="info" showIcon title={t("acl.mergedNew")} />}
          {merge.data && merge.data.notes.length > 0 && <Findings findings={merge.data.notes} />}
          <div className="row between">
            <h3>{t("acl.diff")}</h3>
            <Copy text={made.policy} label={t("acl.merged")} />
          </div>
          <Diff text={made.diff} none={t("acl.diffNone")} />
        </>
      )}
    </div>
  );
}

import { expect, test, vi } from "vitest";
import { ApiError } from "@/api/client";

test("refusals name amounts in yuan", async () => {
  vi.stubGlobal("localStorage", { getItem: () => "zh-CN", setItem: () => {} });
  vi.stubGlobal("document", { documentElement: {} });
  const { errorText, startLanguage } = await import(".");
  await startLanguage();
  const refusal = new ApiError(409, "finance.credit_used_up", "", { free_fen: 160 });
  expect(errorText(refusal)).toContain("¥1.60");
});

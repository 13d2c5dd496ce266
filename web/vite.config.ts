import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { antdStyles } from "./antdStyles.ts";

const FIRST = {
  name: "first",
  test: /src\/(main|api\/(early|fingerprint)|shared\/i18n\/language)\.ts$|preload-helper/,
  priority: 3,
};
const BASE = {
  name: "base",
  test: new RegExp(
    "node_modules/(@tanstack|i18next|react-i18next|openapi-fetch|use-sync-external-store)/" +
      "|src/(api|shared/(auth|format|live))/|src/shared/i18n/index" +
      "|src/shared/ui/(Page|act|Loaded|scrolling|nonce|theme|tones|relays)\\.tsx?$",
  ),
  priority: 2,
};
const FRAME = {
  name: "frame",
  test: /src\/app\/(Shell|Choices|menu)|@ant-design\/icons(-svg)?\/es\/(icons|asn)\//,
  minShareCount: 1,
  priority: 1,
};

export default defineConfig({
  plugins: [react(), antdStyles()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    manifest: true,
    sourcemap: false,
    target: "es2022",
    chunkSizeWarningLimit: 1200,
    // The policy lets no inline data run as script, and a file is cached for ever anyway.
    assetsInlineLimit: 0,
    // What every page needs comes in few files: each costs a slow machine some milliseconds.
    rolldownOptions: { output: { codeSplitting: { groups: [FIRST, BASE, FRAME] } } },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8000", "/derp": "http://127.0.0.1:8000" } },
  test: { include: ["src/**/*.test.ts", "src/**/*.test.tsx"] },
} as Parameters<typeof defineConfig>[0]);

import { createRequire } from "node:module";
import type { ReactElement } from "react";
import type { Plugin } from "vite";
import { DARK, LIGHT } from "./src/shared/ui/tokens.ts";

const NAME = "virtual:antd.css";

/**
 * The styles of the parts that first pages are made of, as a file: a browser need not make them.
 *
 * antd finds in the file itself which styles it has, and makes the others when they are needed. The
 * rules only name variables, so that one file serves both appearances.
 */
export function antdStyles(): Plugin {
  return {
    name: "antd-styles",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : null),
    load(id) {
      if (id !== `\0${NAME}`) return null;
      const light = styles("light");
      if (light !== styles("dark")) this.error("antd's rules differ between light and dark");
      return light;
    },
  };
}

function styles(appearance: "light" | "dark"): string {
  // As antd itself finds them: two copies would not know each other's context.
  const require = createRequire(import.meta.url);
  const { createElement: made } = require("react") as typeof import("react");
  const { renderToString } = require("react-dom/server") as typeof import("react-dom/server");
  const { createCache, extractStyle, StyleProvider } =
    require("@ant-design/cssinjs") as typeof import("@ant-design/cssinjs");
  const antd = require("antd") as typeof import("antd");
  const { Alert, App, Button, Collapse, ConfigProvider, Drawer, Form, Input, Modal } = antd;
  const parts: ReactElement[] = [
    made(Alert, { title: "", showIcon: true }),
    made(Button, { type: "primary" }),
    made(Collapse, { items: [{ key: 0, label: "", children: "" }] }),
    made(Drawer),
    made(
      Form,
      {},
      made(Form.Item, { label: "", name: "a" }, made(Input)),
      made(Form.Item, { name: "b" }, made(Input.Password)),
    ),
    made(Modal),
    made(antd.Skeleton, { active: true }),
    made(antd.Spin),
    made(antd.Table, { columns: [{ key: "a", sorter: true }], pagination: false }),
  ];
  const cache = createCache();
  renderToString(
    made(
      StyleProvider,
      { cache },
      made(
        ConfigProvider,
        {
          theme: {
            hashed: false,
            algorithm:
              appearance === "dark" ? antd.theme.darkAlgorithm : antd.theme.defaultAlgorithm,
            token: appearance === "dark" ? DARK : LIGHT,
          },
        },
        made(App, { component: false }, ...parts),
      ),
    ),
  );
  return extractStyle(cache, { plain: true, types: "style" });
}

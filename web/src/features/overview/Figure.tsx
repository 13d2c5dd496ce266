import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

/** A figure of the overview, which leads to the page that tells more. */
export function Figure(props: {
  title: string;
  value: ReactNode;
  to:
    | "/admin/servers"
    | "/admin/containers"
    | "/admin/users"
    | "/admin/traffic"
    | "/admin/mails"
    | "/admin/finance"
    | "/admin/distributors"
    | "/admin/alerts";
  search?: Record<string, string>;
  children?: ReactNode;
}) {
  return (
    <section className="card">
      <h2 style={{ fontSize: 14, fontWeight: 500 }}>
        <Link to={props.to} search={props.search ?? {}}>
          {props.title}
        </Link>
      </h2>
      <div className="figure-value">{props.value}</div>
      <div className="row small">{props.children}</div>
    </section>
  );
}

import { type ReactNode, useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useScrolling } from "./scrolling";

/** A page: its title here and in the browser's tab, what it is for, and its main buttons. */
export function Page(props: {
  title: ReactNode;
  name?: string;
  intro?: ReactNode;
  extra?: ReactNode;
  children: ReactNode;
}) {
  const { t, i18n } = useTranslation();
  const whole = useScrolling<HTMLDivElement>();
  const name = props.name ?? (typeof props.title === "string" ? props.title : "");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the language changes the words
  useEffect(() => {
    document.title = name ? `${name} · ${t("brand")}` : t("brand");
  }, [name, i18n.language]);
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{props.title}</h1>
          {props.intro && <p className="muted">{props.intro}</p>}
        </div>
        {props.extra && <div className="row">{props.extra}</div>}
      </div>
      <div className="stack" ref={whole}>
        {props.children}
      </div>
    </>
  );
}

/** A part of a page with a heading of its own. */
export function Card(props: {
  title?: ReactNode;
  extra?: ReactNode;
  hint?: ReactNode;
  children: ReactNode;
  id?: string;
}) {
  return (
    <section className="card" {...(props.id ? { id: props.id } : {})}>
      {(props.title || props.extra) && (
        <div className="row between card-head">
          {props.title && <h2>{props.title}</h2>}
          {props.extra && <div className="row">{props.extra}</div>}
        </div>
      )}
      {props.hint && <p className="muted small">{props.hint}</p>}
      {props.children}
    </section>
  );
}

/** Names and values, one under the other. */
export function Facts({ rows }: { rows: [ReactNode, ReactNode][] }) {
  return (
    <dl className="facts">
      {rows.map(([name, value], at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows of one place never move
        <FactRow key={at} name={name} value={value} />
      ))}
    </dl>
  );
}

function FactRow({ name, value }: { name: ReactNode; value: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

export type Tone = "good" | "bad" | "warn" | "busy" | "off" | "plain";

/** A state in words, with a mark whose shape differs as well as its colour. */
export function State({ tone, children }: { tone: Tone; children: ReactNode }) {
  return <span className={`dot ${tone}`}>{children}</span>;
}

/** What stands where a list would be, and what to do about it. */
export function Blank(props: { title: ReactNode; hint?: ReactNode; children?: ReactNode }) {
  return (
    <div className="blank">
      <strong>{props.title}</strong>
      {props.hint && <p className="muted">{props.hint}</p>}
      {props.children}
    </div>
  );
}

/** A unified diff with its lines coloured; the signs at their beginning say the same. */
export function Diff({ text, none }: { text: string; none: string }) {
  if (!text.trim()) return <p className="muted">{none}</p>;
  return (
    <pre
      className="code-block"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
      tabIndex={0}
    >
      {text.split("\n").map((line, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines never move
        <span key={at} className={toneOf(line)}>
          {`${line}\n`}
        </span>
      ))}
    </pre>
  );
}

function toneOf(line: string): string {
  if (line.startsWith("+") && !line.startsWith("+++")) return "diff-add";
  if (line.startsWith("-") && !line.startsWith("---")) return "diff-del";
  return "";
}

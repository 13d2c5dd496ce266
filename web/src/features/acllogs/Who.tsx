import { Link } from "@tanstack/react-router";

/** A user by name, leading to his page. */
export function Who({ id, name }: { id: number; name?: string }) {
  return (
    <Link to="/admin/users/$userId" params={{ userId: String(id) }}>
      {name || `#${id}`}
    </Link>
  );
}

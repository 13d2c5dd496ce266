/** Does the same to many things, one after another, and returns those that failed and why. */
export async function inTurn(
  ids: number[],
  call: (id: number) => Promise<unknown>,
): Promise<{ id: number; error: unknown }[]> {
  const failed: { id: number; error: unknown }[] = [];
  for (const id of ids) {
    try {
      await call(id);
    } catch (error) {
      failed.push({ id, error });
    }
  }
  return failed;
}

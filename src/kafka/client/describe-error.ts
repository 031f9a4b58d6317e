/** What went wrong, in one line: the innermost causes, which say more than "connection failed". */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof Error) return describeError(error.cause);
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(describeError))].join(", ");
  }
  if (error.message !== "") return error.message;
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : error.name;
}

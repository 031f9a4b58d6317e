import type { Message } from "../../src/index.ts";

export function identity(message: Message<string>): string {
  return message.payload;
}

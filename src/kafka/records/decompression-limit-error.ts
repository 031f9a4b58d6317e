/** Compressed bytes of which more would come out than may: a small batch must not fill the memory. */
export class DecompressionLimitError extends Error {
  constructor(maxBytes: number) {
    super(`more than ${maxBytes} bytes would come out`);
  }
}

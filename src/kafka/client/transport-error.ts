import { ArroyoError, ErrorCode } from "../../errors.ts";

/**
 * A request that got no answer: the connection was refused or lost, the time ran out, or the answer could not be read.
 * Whether the broker has done what was asked is not known. Always worth another try, on a new connection.
 */
export class TransportError extends ArroyoError {
  /** Whether it was the request's own time that ran out, with the connection perhaps still in order. */
  readonly timedOut: boolean;

  constructor(
    message: string,
    options?: { readonly cause?: unknown; readonly timedOut?: boolean | undefined },
  ) {
    super(ErrorCode.TRANSPORT, message, options);
    this.timedOut = options?.timedOut ?? false;
  }

  static is(error: unknown): error is TransportError {
    return error instanceof ArroyoError && error.code === ErrorCode.TRANSPORT;
  }
}

/** An answer that is larger than "receive.message.max.bytes" (or that says so, where its length was damaged on the way). */
export class ResponseTooLargeError extends TransportError {}

/** The broker refused the credentials, or has no such mechanism. Trying again helps only once somebody has changed it. */
export class AuthenticationError extends ArroyoError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(ErrorCode.AUTHENTICATION, message, options);
  }
}

/** The broker is too old (or too new) for an RPC that is needed. */
export class UnsupportedBrokerError extends ArroyoError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(ErrorCode.UNSUPPORTED_BROKER, message, options);
  }
}

/** What was waited for will not come: the client is being closed. Nobody needs to be told. */
export class ClosedError extends ArroyoError {
  constructor(message: string = "The client is closed.") {
    super(ErrorCode.CLOSED, message);
  }

  static is(error: unknown): error is ClosedError {
    return error instanceof ArroyoError && error.code === ErrorCode.CLOSED;
  }
}

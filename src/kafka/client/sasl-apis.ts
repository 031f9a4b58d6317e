import type { Api } from "./api.ts";

export interface SaslHandshakeResponse {
  readonly errorCode: number;
  /** What the broker has instead. */
  readonly mechanisms: readonly string[];
}

/** The least that a mechanism's name takes. */
const NAME_BYTES = 2;

/** Says which mechanism is to come. */
export const SaslHandshake: Api<[mechanism: string], SaslHandshakeResponse> = {
  key: 17,
  name: "SaslHandshake",
  versions: [
    {
      version: 1,
      write: (writer, mechanism) => void writer.shortString(mechanism),
      read: (body) => {
        const errorCode = body.int16();
        const count = body.int32();
        if (count * NAME_BYTES > body.remaining) throw body.malformed(`an array of ${count} does not fit`);
        const mechanisms: string[] = [];
        for (let index = 0; index < count; index += 1) mechanisms.push(body.shortString());
        return { errorCode, mechanisms };
      },
      headerTags: "none",
      throttleTime: "own field",
    },
  ],
};

export interface SaslAuthenticateResponse {
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly authBytes: Buffer;
  /** 0: for ever. */
  readonly sessionLifetimeMs: number;
}

/** One step of the mechanism. */
export const SaslAuthenticate: Api<[authBytes: Buffer], SaslAuthenticateResponse> = {
  key: 36,
  name: "SaslAuthenticate",
  versions: [
    {
      version: 2,
      write: (writer, authBytes) => void writer.bytes(authBytes).end(),
      read: (body) => {
        const response = {
          errorCode: body.int16(),
          errorMessage: body.nullableString(),
          authBytes: body.compactBytes(),
          sessionLifetimeMs: body.int64(),
        };
        body.taggedFields();
        return response;
      },
      throttleTime: "own field",
    },
  ],
};

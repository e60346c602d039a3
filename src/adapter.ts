/** A door of another shape onto `send` and the outbox: what it is asked and what it answers, without a framework. */

import type { Caller } from './authenticate.ts';
import type { Origin } from './message-event.ts';
import type { Failure } from './outcome.ts';

export interface AdapterRequest {
  readonly method: string;
  /** Below the adapter's prefix: `/emails` of `/resend/emails`. */
  readonly path: string;
  readonly query: URLSearchParams;
  header(name: string): string | null;
  /** What was sent, decoded. */
  readonly body: Uint8Array;
  readonly origin: Origin;
  readonly signal: AbortSignal;
}

export interface AdapterResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object goes out as JSON, a text as it is. */
  readonly body: object | string | null;
}

/** What is known before the body is read. */
export type RequestHead = Pick<AdapterRequest, 'path' | 'header'>;

interface AnyAdapter {
  /** `/resend`; it is asked whatever is below. */
  readonly prefix: string;
  /** A failure in the adapter's own shape, those before it is asked included; null: a problem document, as ours. */
  readonly refuse: ((failed: Failure, request: RequestHead) => AdapterResponse | null) | null;
  /** Of every answer, failures before it is asked included. */
  readonly headers?: (request: RequestHead) => Readonly<Record<string, string>>;
}

/** The Authorization header is checked before the body is read. */
export interface AuthenticatedAdapter extends AnyAdapter {
  readonly credentials: 'header';
  handle(request: AdapterRequest, caller: Caller): Promise<AdapterResponse | Failure>;
}

/** The credentials are somewhere else in the request: in the body, or in a signature of it. */
export interface SelfAuthenticatingAdapter extends AnyAdapter {
  readonly credentials: 'own';
  handle(request: AdapterRequest): Promise<AdapterResponse | Failure>;
}

export type Adapter = AuthenticatedAdapter | SelfAuthenticatingAdapter;

/** `traceparent` (W3C Trace Context, section 3.2): where a request stands in its caller's trace. */

export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** The caller's span: 16 hex digits. */
  readonly parentId: string;
}

/** Null for what is no `traceparent`: a trace that is broken is not taken over. */
export function parseTraceparent(text: string | undefined): TraceContext | null {
  // A version that is not known yet may have more behind a dash; version 00 has not.
  const found =
    /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(
      text ?? '',
    );
  if (!found) return null;
  const [, version, traceId = '', parentId = '', , more] = found;
  return version === '00' && more !== undefined ? null : { traceId, parentId };
}

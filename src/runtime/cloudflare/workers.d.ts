/** What is used of Cloudflare's runtime. Its own types redeclare the web's globals, so they do not fit beside Node's. */

declare module 'cloudflare:workers' {
  /** Keeps the running request's context alive until `promise` has settled. */
  export function waitUntil(promise: Promise<unknown>): void;

  export abstract class DurableObject<Env> {
    protected readonly ctx: DurableObjectState;
    protected readonly env: Env;
    constructor(ctx: DurableObjectState, env: Env);
  }

  export interface DurableObjectState {
    readonly storage: {
      readonly sql: {
        exec<Row>(query: string, ...values: readonly (string | number | null | Uint8Array)[]): Iterable<Row>;
      };
      readonly kv: { get<T>(key: string): T | undefined; put(key: string, value: unknown): void };
      transactionSync<Result>(work: () => Result): Result;
      /** Resolves when all that was written is on the disk. */
      sync(): Promise<void>;
      deleteAll(): Promise<void>;
      setAlarm(time: number): Promise<void>;
      deleteAlarm(): Promise<void>;
    };
  }

  /** The stub's methods run in the object, wherever it is; what they take and return is copied. */
  export interface DurableObjectNamespace<Methods> {
    getByName(name: string): Methods;
  }

  export interface ExecutionContext {
    waitUntil(promise: Promise<unknown>): void;
    passThroughOnException(): void;
    readonly props: unknown;
  }
}

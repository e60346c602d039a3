/** A server certificate, with the chain where there is one, and its private key, both PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

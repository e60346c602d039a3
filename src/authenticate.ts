/**
 * Who is asking: a gateway token that stands for a configured account, or a caller's own api_user and
 * api_key, which only upstream's login can prove.
 */

import type { Account, Login } from './account.ts';
import type { ConfiguredAccount } from './config.ts';
import type { Deliverer } from './deliver.ts';
import { sha256 } from './digest.ts';
import { FailedLogins, type LoginAttempt } from './failed-logins.ts';
import { type Failure, failure, isFailure } from './outcome.ts';
import type { Quota } from './quota.ts';
import { canonicalApiUser, isApiUser } from './sendcloud.ts';

/** An authenticated caller. */
export interface Caller {
  readonly account: Account;
  /** The caller brought its own api_key, so upstream's 535 is the caller's to mend. */
  readonly ownKey: boolean;
}

export interface Authenticator {
  /** A gateway token from `address`, compared in constant time. */
  token(token: string, address: string): Promise<Caller | Failure>;
  /** Counts a wrong secret that came from `address`; a failure where there were too many of them. */
  wrongSecret(address: string): Failure | null;
  /**
   * A user name and password, as HTTP Basic and SMTP have them: a gateway token of that very api_user, or else its
   * api_key, which upstream's login proves before anything is drawn.
   *
   * @param signal - ends the wait for upstream
   */
  login(apiUser: string, password: string, address: string, signal: AbortSignal): Promise<Caller | Failure>;
}

/** With accounts that may change while it runs. */
export interface UpdatableAuthenticator extends Authenticator {
  /** Replaces the accounts, from the next request on. */
  update(accounts: readonly ConfiguredAccount[]): void;
}

/** A proven api_key is not asked about again for this long; upstream still checks it at every login. */
const PROOF_MS = 5 * 60 * 1000;

/** A key that upstream accepted within this time may be proven again, whatever others guess of its api_user. */
const LATELY_MS = 24 * 60 * 60 * 1000;
const MOST_PROOFS = 1000;

interface Proof {
  readonly startedAt: number;
  readonly failure: Promise<Failure | null>;
  accepted: boolean;
}

export function createAuthenticator(options: {
  accounts: readonly ConfiguredAccount[];
  basicAuth: boolean;
  /** Calls per window of an api_user that no setting names. */
  quotaLimit: number;
  /** Where guesses of an api_user are counted for all instances. */
  quota: Quota;
  verify: Deliverer['verify'];
}): UpdatableAuthenticator {
  const { basicAuth, quota } = options;
  let { accounts } = options;
  const failedLogins = new FailedLogins(quota);
  /** By digest of api_user and api_key, oldest first; a login in progress is shared. */
  const proofs = new Map<string, Proof>();
  let findToken = tokenFinder(accounts);

  return {
    async token(token, address) {
      const caller = await byToken(token);
      if (!isFailure(caller)) return caller;
      return wrongSecret(address) ?? caller;
    },

    wrongSecret,

    async login(apiUser, password, address, signal) {
      // A right token is always taken: a neighbour behind the same address with a wrong one must not lock it out,
      // and at 16 characters or more no token is ever guessed.
      const caller = await byToken(password, apiUser);
      if (!isFailure(caller)) return caller;
      if (basicAuth) return byApiKey(apiUser, password, address, signal);
      const refused = failedLogins.refusal(apiUser, address);
      if (refused) return refused;
      failedLogins.add(apiUser, address);
      return failure(
        'unauthorized',
        'This token does not belong to this api_user; api_keys are not accepted (BASIC_AUTH is off).',
      );
    },

    update(updated) {
      accounts = updated;
      findToken = tokenFinder(updated);
    },
  };

  function wrongSecret(address: string): Failure | null {
    const refused = failedLogins.refusal(null, address);
    if (!refused) failedLogins.add(null, address);
    return refused;
  }

  async function byToken(token: string, apiUser?: string): Promise<Caller | Failure> {
    const found = await findToken(token);
    if (!found || (apiUser !== undefined && !isSameApiUser(found.account.apiUser, apiUser))) {
      return failure('unauthorized', 'Unknown token.');
    }
    if (found.ambiguous) {
      return failure(
        'unauthorized',
        'The settings give this token to two accounts, so it is accepted for neither.',
      );
    }
    return { account: found.account, ownKey: false };
  }

  async function byApiKey(
    apiUser: string,
    apiKey: string,
    address: string,
    signal: AbortSignal,
  ): Promise<Caller | Failure> {
    if (!isApiUser(apiUser)) {
      return failure('unauthorized', 'An api_user is printable ASCII without spaces, "#" or ":".');
    }
    const configured = accounts.find((account) => isSameApiUser(account.apiUser, apiUser));
    const account = configured
      ? { ...configured, apiKey }
      : { apiUser, apiKey, from: null, labels: null, quota: options.quotaLimit };
    const failed = await prove(account, address, signal);
    if (failed?.code === 'upstream-credentials') {
      const smtp = failed.smtp ? { smtp: failed.smtp } : {};
      return failure('unauthorized', 'Upstream refused this api_user and api_key.', smtp);
    }
    return failed ?? { account, ownKey: true };
  }

  async function prove(
    { apiUser, apiKey }: Account,
    address: string,
    signal: AbortSignal,
  ): Promise<Failure | null> {
    const digest = await sha256(`${apiUser}\0${apiKey}`);
    const now = Date.now();
    const known = proofs.get(digest);
    if (known && now - known.startedAt < PROOF_MS) return known.failure;
    const lately = known?.accepted === true && now - known.startedAt < LATELY_MS;
    const attempt = await failedLogins.begin(apiUser, address, lately);
    if (isFailure(attempt)) return attempt;
    const login = { apiUser, apiKey, label: null };
    const proof: Proof = { startedAt: now, failure: ask(login, attempt, signal), accepted: lately };
    proofs.delete(digest);
    proofs.set(digest, proof);
    const [oldest] = proofs.keys();
    if (proofs.size > MOST_PROOFS && oldest !== undefined) proofs.delete(oldest);

    const forget = () => {
      if (proofs.get(digest) === proof) proofs.delete(digest);
    };
    proof.failure.then((failed) => {
      if (failed) forget();
      else proof.accepted = true;
    }, forget);
    return proof.failure;
  }

  /** An upstream login is an attempt until it ends, so that many requests with one right key at once are one. */
  async function ask(login: Login, attempt: LoginAttempt, signal: AbortSignal): Promise<Failure | null> {
    let failed: Failure | null = null;
    try {
      failed = await options.verify(login, signal);
      return failed;
    } finally {
      await attempt.end(failed?.code === 'upstream-credentials');
    }
  }
}

interface KnownToken {
  readonly account: ConfiguredAccount;
  readonly digest: string;
  /** Null until it was seen, where the settings have the digest alone. */
  plain: string | null;
  /** Another account has it too, the one as it is and the other by its digest. */
  readonly ambiguous: boolean;
}

/** Finds a token in constant time for tokens of one length. */
function tokenFinder(accounts: readonly ConfiguredAccount[]) {
  let known: Promise<KnownToken[]> | null = null;

  return async (token: string): Promise<KnownToken | null> => {
    known ??= knownTokens(accounts);
    let found: KnownToken | null = null;
    // Every one is compared, so that the time says nothing about which one is near.
    for (const entry of await known) if (entry.plain !== null && equal(entry.plain, token)) found = entry;
    if (found) return found;
    const unseen = (await known).filter(({ plain }) => plain === null);
    if (unseen.length === 0) return null;
    const presented = await sha256(token);
    for (const entry of unseen) {
      if (!equal(entry.digest, presented)) continue;
      // Seen once, a token is compared as it is: a digest costs more than the rest of the door.
      entry.plain = token;
      found = entry;
    }
    return found;
  };
}

/** Here and not with the settings, which are read at once: Web Crypto takes its time for a digest. */
async function knownTokens(accounts: readonly ConfiguredAccount[]): Promise<KnownToken[]> {
  const tokens = await Promise.all(
    accounts.flatMap((account) =>
      account.tokens.map(async (token) =>
        token.startsWith('sha256:')
          ? { account, digest: token.slice(7), plain: null }
          : { account, digest: await sha256(token), plain: token },
      ),
    ),
  );
  return tokens.map((token) => ({
    ...token,
    ambiguous: tokens.some(({ account, digest }) => account !== token.account && digest === token.digest),
  }));
}

const isSameApiUser = (one: string, other: string): boolean =>
  canonicalApiUser(one) === canonicalApiUser(other);

/** In constant time for texts of one length. */
function equal(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}

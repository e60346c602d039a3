/**
 * A SendCloud upstream for tests: without faults it speaks the transcript of SendCloud's SMTP page byte for byte,
 * and at any step of it it can be told to refuse, to fall silent, to hang up or to reset the connection.
 *
 * On bare sockets, since no server library lets every byte be chosen.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { Certificate } from '../../src/certificate.ts';
import { createAuthority } from '../../src/sandbox/certificate.ts';
import { parseLoginName } from '../../src/sendcloud.ts';
import { Wire } from './wire.ts';

/**
 * Where in a session a fault strikes. `ehlo2` is the EHLO inside TLS, `auth` the AUTH command, `auth-key` the
 * line with the key, `data` the DATA command, `body` the first bytes of a message (which may hold its dot, if
 * the message is small), `dot` the end of the message, `idle` the time after the reply to it.
 */
export type Step =
  | 'connect'
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'tls'
  | 'ehlo2'
  | 'auth'
  | 'auth-key'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'body'
  | 'dot'
  | 'idle'
  | 'rset'
  | 'quit';

/**
 * `half-close` sends FIN, and reads on. `silent` is for good; at `body` nothing more is read either, so that the
 * client cannot write its dot.
 */
export type Silence = 'close' | 'half-close' | 'reset' | 'silent';

export interface Words {
  /** One or more lines without the last CRLF. The session goes on as the first code says, and ends after 421. */
  readonly reply: string;
  /** The session goes on as this code says. */
  readonly meant?: number;
  /** The last CRLF does not follow. */
  readonly cut?: true;
  /** A byte at a time. */
  readonly drip?: true;
  /** Over and over again, until the client has gone. */
  readonly endless?: true;
  /** Right behind them. */
  readonly after?: Silence;
}

/** The first fault of the list that fits is the one that happens. */
export interface Fault {
  readonly at: Step;
  /** Instead of the usual reply; without it the usual reply is given. */
  readonly do?: Silence | Words;
  /** Milliseconds before that. At `idle` the next command prevents it. */
  readonly delayMs?: number;
  /** Only for this recipient; at `auth-key` for this api_user. */
  readonly address?: string;
  /** At `dot`: the message is taken, whatever is replied. */
  readonly taken?: true;
  /** How often it happens; always, if absent. */
  readonly times?: number;
}

export interface UpstreamOptions {
  /** One of `ca` for localhost and 127.0.0.1, if absent. */
  readonly certificate?: Certificate;
  /** Up to TLS 1.2 like SendCloud, if absent. */
  readonly tls?: Pick<SecureContextOptions, 'minVersion' | 'maxVersion' | 'ciphers'>;
  /** The lines of the EHLO reply after its first. */
  readonly features?: readonly string[];
  /** `missing`: not announced; `refused`: announced, and answered 454. */
  readonly starttls?: 'ok' | 'missing' | 'refused';
  /** `asks-user`: deaf to the initial response of AUTH LOGIN, asks for the user name again. */
  readonly auth?: 'initial-response' | 'asks-user';
  /** api_user → api_key; anyone may log in, if absent. */
  readonly accounts?: Readonly<Record<string, string>>;
  readonly faults?: readonly Fault[];
}

/** One line of a session: `C: …` or `S: …`. Of a message's lines only the dot is kept. */
export interface Line {
  readonly text: string;
  readonly secured: boolean;
}

export interface Session {
  readonly dialogue: readonly Line[];
  /** Such as `TLSv1.2`; null until there is TLS. */
  readonly tls: string | null;
  /** False once one side has hung up. */
  readonly open: boolean;
}

export interface SeenLogin {
  /** Index into `sessions`. */
  readonly session: number;
  /** As sent: `api_user` or `api_user#label_id`. */
  readonly user: string;
  readonly apiUser: string;
  readonly label: number | null;
  readonly key: string;
  readonly secured: boolean;
  readonly accepted: boolean;
}

/** One MAIL command and what followed. */
export interface Transaction {
  readonly session: number;
  readonly from: string;
  /** What stood after the address, such as `SIZE=1234`. */
  readonly parameters: string;
  /** The recipients that were accepted, in the order of RCPT. */
  readonly recipients: readonly string[];
  /** Bytes behind the 354 so far, the dot's among them. */
  readonly received: number;
  /** As sent, transparency undone; null while the dot has not come. */
  readonly message: Buffer | null;
  /** Upstream has the message, whether it said so or not. */
  readonly taken: boolean;
}

export interface Upstream {
  readonly host: string;
  readonly port: number;
  /** PEM of the authority of the certificate that is used unless `certificate` gives another. */
  readonly ca: string;
  faults: readonly Fault[];
  /** Every connection since the start. */
  readonly sessions: readonly Session[];
  readonly logins: readonly SeenLogin[];
  /** One for every MAIL command that was seen. */
  readonly transactions: readonly Transaction[];
  /** The transactions whose message upstream has. */
  readonly taken: readonly Transaction[];
  /** Destroys every connection; the port is free afterwards. */
  close(): Promise<void>;
}

/** Starts it on a free loopback port. */
export async function startUpstream(options: UpstreamOptions = {}): Promise<Upstream> {
  const authority = await createAuthority();
  const certificate = options.certificate ?? (await authority.issue());
  const stop = new AbortController();
  const state: State = {
    options,
    secureContext: createSecureContext({ maxVersion: 'TLSv1.2', ...options.tls, ...certificate }),
    faults: options.faults ?? [],
    happened: new Map(),
    sessions: [],
    logins: [],
    transactions: [],
    stopped: stop.signal,
  };

  const server = createServer({ noDelay: true }, (socket) => {
    const session = new Dialogue(state, new Wire(socket));
    state.sessions.push(session);
    session.run().catch((error: unknown) => {
      if (!(error instanceof SessionOver)) throw error;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    ca: authority.cert,
    get faults() {
      return state.faults;
    },
    set faults(faults) {
      state.faults = faults;
    },
    sessions: state.sessions,
    logins: state.logins,
    transactions: state.transactions,
    get taken() {
      return state.transactions.filter((transaction) => transaction.taken);
    },
    async close() {
      stop.abort();
      for (const session of state.sessions) session.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type OpenTransaction = Mutable<Omit<Transaction, 'recipients'>> & { recipients: string[] };

interface State {
  readonly options: UpstreamOptions;
  readonly secureContext: ReturnType<typeof createSecureContext>;
  faults: readonly Fault[];
  readonly happened: Map<Fault, number>;
  readonly sessions: Dialogue[];
  readonly logins: SeenLogin[];
  readonly transactions: Transaction[];
  readonly stopped: AbortSignal;
}

/** Ends a session's run from any depth; caught where it was started. */
class SessionOver extends Error {}

const SIZE = 16_000_000;
const FEATURES = ['PIPELINING', '8BITMIME', `SIZE ${SIZE}`, 'STARTTLS', 'AUTH LOGIN'];
const HELLO = 'SendCloud Inbound Server Hello, Haraka is at your service.';
const ASK_USER = Buffer.from('Username:').toString('base64');
const ASK_KEY = Buffer.from('Password:').toString('base64');
/** The last part but one of the transcript's message id, of which every message has its own. */
const FIRST_ID = 8661;

const fromBase64 = (text: string) => Buffer.from(text, 'base64').toString();

class Dialogue implements Session {
  readonly dialogue: Line[] = [];
  readonly #state: State;
  readonly #wire: Wire;
  readonly #index: number;
  #loggedIn = false;
  #transaction: OpenTransaction | null = null;

  constructor(state: State, wire: Wire) {
    this.#state = state;
    this.#wire = wire;
    this.#index = state.sessions.length;
  }

  get tls(): string | null {
    return this.#wire.tls;
  }

  get open(): boolean {
    return this.#wire.open;
  }

  destroy(): void {
    this.#wire.destroy();
  }

  async run(): Promise<never> {
    await this.#answer('connect', null);
    await this.#answer('greeting', '220 SendCloud Inbound Server ESMTP Haraka 2.2.4 ready');
    for (;;) {
      const line = await this.#read();
      const [, verb = '', rest = ''] = /^(\S*)\s*(.*)$/.exec(line) ?? [];
      await this.#command(verb.toUpperCase(), rest);
    }
  }

  async #command(verb: string, rest: string): Promise<unknown> {
    switch (verb) {
      case 'EHLO':
        return this.#ehlo();
      case 'HELO':
        return this.#say(`250 ${HELLO}`);
      case 'STARTTLS':
        return this.#starttls();
      case 'AUTH':
        return this.#auth(rest);
      case 'MAIL':
        return this.#mail(rest);
      case 'RCPT':
        return this.#rcpt(rest);
      case 'DATA':
        return this.#data();
      case 'RSET':
        this.#transaction = null;
        return this.#answer('rset', '250 OK');
      case 'NOOP':
        return this.#say('250 OK');
      case 'QUIT':
        await this.#answer('quit', '221 SendCloud Inbound Server closing connection. Have a jolly good day');
        return this.#hangUp();
      default:
        return this.#say('500 Unrecognized command');
    }
  }

  async #ehlo(): Promise<void> {
    const { features = FEATURES, starttls } = this.#state.options;
    const secured = this.tls !== null;
    const lines = [
      HELLO,
      ...features.filter((name) => name !== 'STARTTLS' || (!secured && starttls !== 'missing')),
    ];
    const last = lines.length - 1;
    const reply = lines.map((text, index) => `250${index === last ? ' ' : '-'}${text}`).join('\r\n');
    await this.#answer(secured ? 'ehlo2' : 'ehlo', reply);
  }

  async #starttls(): Promise<void> {
    const { starttls } = this.#state.options;
    if (starttls === 'missing' || this.tls !== null) return this.#say('500 Unrecognized command');
    const usual = starttls === 'refused' ? '454 TLS not available due to temporary reason' : '220 Go ahead.';
    if ((await this.#answer('starttls', usual)) !== 220) return;

    const fault = this.#fault('tls');
    if (fault?.delayMs !== undefined) await this.#pause(fault.delayMs);
    if (fault?.do === undefined) {
      this.#wire.secure({ secureContext: this.#state.secureContext });
    } else {
      // The ClientHello; who never sends one has closed the connection.
      if (!(await this.#wire.some())) throw new SessionOver();
      await this.#act(fault.do);
    }
  }

  async #auth(rest: string): Promise<void> {
    const [mechanism = '', initial] = rest.split(' ');
    if (mechanism.toUpperCase() !== 'LOGIN') return this.#say('500 Unrecognized command');
    const asks = initial === undefined || this.#state.options.auth === 'asks-user';
    if ((await this.#answer('auth', `334 ${asks ? ASK_USER : ASK_KEY}`)) !== 334) return;
    const user = fromBase64(asks ? await this.#read() : initial);
    if (asks) this.#say(`334 ${ASK_KEY}`);
    const key = fromBase64(await this.#read());

    const { apiUser, label } = parseLoginName(user) ?? { apiUser: user, label: null };
    const { accounts } = this.#state.options;
    const known = accounts === undefined || (Object.hasOwn(accounts, apiUser) && accounts[apiUser] === key);
    const login: Mutable<SeenLogin> = {
      session: this.#index,
      user,
      apiUser,
      label,
      key,
      secured: this.tls !== null,
      accepted: false,
    };
    this.#state.logins.push(login);
    const usual = known ? '235 Authentication successful' : '535 Authentication failed';
    login.accepted = (await this.#answer('auth-key', usual, apiUser)) === 235;
    this.#loggedIn ||= login.accepted;
  }

  async #mail(rest: string): Promise<void> {
    const [, from, parameters] = /^FROM:\s*<([^>]*)>\s*(.*)$/i.exec(rest) ?? [];
    if (from === undefined || parameters === undefined) return this.#say('501 Command parsing failed');
    const transaction: OpenTransaction = {
      session: this.#index,
      from,
      parameters,
      recipients: [],
      received: 0,
      message: null,
      taken: false,
    };
    this.#state.transactions.push(transaction);
    const size = Number(/\bSIZE=(\d+)/i.exec(parameters)?.[1] ?? 0);
    const usual = !this.#loggedIn
      ? '550 Authentication required'
      : size > SIZE
        ? '550 Message too big!'
        : `250 sender <${from}> OK`;
    this.#transaction = (await this.#answer('mail', usual)) === 250 ? transaction : null;
  }

  async #rcpt(rest: string): Promise<void> {
    const [, address] = /^TO:\s*<([^>]*)>/i.exec(rest) ?? [];
    if (this.#transaction === null) return this.#say('503 Use MAIL before RCPT');
    if (address === undefined) return this.#say('501 Command parsing failed');
    const code = await this.#answer('rcpt', `250 recipient <${address}> OK`, address);
    if (code === 250) this.#transaction.recipients.push(address);
  }

  async #data(): Promise<void> {
    const transaction = this.#transaction;
    if (transaction === null) return this.#say('503 MAIL required first');
    if (transaction.recipients.length === 0) return this.#say('503 RCPT required first');
    if ((await this.#answer('data', '354 go ahead, make my day')) !== 354) return;

    if (!(await this.#wire.some())) throw new SessionOver();
    await this.#answer('body', null);
    transaction.message = await this.#wire.message((bytes) => {
      transaction.received += bytes;
    });
    if (transaction.message === null) throw new SessionOver();
    this.#note('C: .');
    this.#transaction = null;

    const fault = this.#fault('dot');
    const fits = transaction.message.length <= SIZE;
    transaction.taken = fault?.taken ?? (fits && fault?.do === undefined);
    const id = FIRST_ID + this.#state.transactions.indexOf(transaction);
    const queued = `250 #1426390015358_15_6484_${id}.sc-10_10_127_51-inbound#Queued`;
    const code = await this.#carryOut(fault, fits ? queued : '550 Message too big!');
    if (code === 250) transaction.taken = true;
    await this.#idle();
  }

  async #idle(): Promise<void> {
    const fault = this.#fault('idle');
    if (fault?.do === undefined) return;
    if (fault.delayMs !== undefined) {
      const asked = this.#wire.some();
      const late = this.#pause(fault.delayMs).then(() => 'late');
      if ((await Promise.race([asked, late])) !== 'late') return;
    }
    await this.#act(fault.do);
    this.#hangUp();
  }

  /** Lets the fault of this step happen, or replies as usual. Returns the code that was sent. */
  async #answer(step: Step, usual: string | null, address?: string): Promise<number> {
    return this.#carryOut(this.#fault(step, address), usual);
  }

  async #carryOut(fault: Fault | undefined, usual: string | null): Promise<number> {
    if (fault?.delayMs !== undefined) await this.#pause(fault.delayMs);
    if (fault?.do !== undefined) {
      if (fault.at === 'body' && fault.do === 'silent') this.#wire.pause();
      return this.#act(fault.do);
    }
    if (usual === null) return 0;
    this.#say(usual);
    return Number(usual.slice(0, 3));
  }

  async #act(action: Silence | Words): Promise<number> {
    if (typeof action === 'string') return this.#fallSilent(action);
    const { reply, meant, cut, drip, endless, after } = action;
    for (const line of reply.split('\r\n')) this.#note(`S: ${line}`);
    const bytes = Buffer.from(cut ? reply : `${reply}\r\n`);
    const pieces = drip ? Array.from(bytes, (byte) => Buffer.of(byte)) : [bytes];
    do {
      for (const piece of pieces) {
        await this.#wire.write(piece);
        if (drip) await this.#pause(1);
      }
    } while (endless && this.open);
    if (after) return this.#fallSilent(after);
    const code = meant ?? Number(reply.slice(0, 3));
    return code === 421 ? this.#hangUp() : code;
  }

  #fallSilent(how: Silence): never {
    if (how === 'close') this.#wire.close();
    if (how === 'half-close') this.#wire.halfClose();
    if (how === 'reset') this.#wire.reset();
    throw new SessionOver();
  }

  #hangUp(): never {
    this.#wire.close();
    throw new SessionOver();
  }

  #fault(step: Step, address?: string): Fault | undefined {
    const { faults, happened } = this.#state;
    const found = faults.find(
      (fault) =>
        fault.at === step &&
        (fault.address === undefined || fault.address === address) &&
        (happened.get(fault) ?? 0) < (fault.times ?? Number.POSITIVE_INFINITY),
    );
    if (found) happened.set(found, (happened.get(found) ?? 0) + 1);
    return found;
  }

  async #pause(milliseconds: number): Promise<void> {
    try {
      await delay(milliseconds, undefined, { signal: this.#state.stopped });
    } catch {
      throw new SessionOver();
    }
  }

  async #read(): Promise<string> {
    const line = await this.#wire.line();
    if (line === null) throw new SessionOver();
    this.#note(`C: ${line}`);
    return line;
  }

  #say(reply: string): void {
    for (const line of reply.split('\r\n')) this.#note(`S: ${line}`);
    void this.#wire.write(`${reply}\r\n`);
  }

  #note(text: string): void {
    this.dialogue.push({ text, secured: this.tls !== null });
  }
}

/** The client's end of one SMTP dialogue: commands go out, whole replies come in, and nothing that was not asked for. */

import type { Socket } from 'node:net';
import { type ConnectionOptions, connect } from 'node:tls';
import { type Reply, ReplyReader } from './reply.ts';

/** Why a session is over. */
export interface Ending {
  /** `lost`: upstream or the network closed it. `silent`: our deadline did. `out-of-step`: unasked bytes came. */
  readonly why: 'lost' | 'silent' | 'out-of-step';
  /** Where the socket failed: the system's or TLS' code. workerd gives none. */
  readonly code?: string;
  /** The whole reply that no command had asked for. */
  readonly unasked?: Reply;
}

const QUIT_MS = 2000;

/** Lets what has come in already be heard first: between two immediates, sockets are read. */
export const nextTurn = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

export class Session {
  /** Runs once, when the session ends, however it ends. */
  onEnd: () => void = () => {};
  #socket: Socket;
  #reader = new ReplyReader();
  /** Read, and not yet taken by `reply`. */
  readonly #replies: Reply[] = [];
  /** Replies that are still to come; the greeting is the first. */
  #owed = 1;
  #resting = false;
  #ending: Ending | null = null;
  /** Runs within the event that brings bytes. */
  #onHeard: () => void = () => {};
  /** Wakes the one who waits: a session does one thing at a time. */
  #wake: () => void = () => {};

  /** @param socket - connected, in the clear */
  constructor(socket: Socket) {
    this.#socket = this.#listenTo(socket);
  }

  get ending(): Ending | null {
    return this.#ending;
  }

  /** Upstream has begun to say something, and has not finished. */
  get isHearing(): boolean {
    return this.#reader.partial;
  }

  /** Whether every command has its reply, and every reply was taken. */
  get isSettled(): boolean {
    return this.#owed === 0 && this.#replies.length === 0;
  }

  /** Between two transactions; the first byte that comes before `resume` ends the session. */
  rest(): void {
    if (!this.isSettled || this.isHearing) this.#end({ why: 'out-of-step' });
    this.#resting = true;
  }

  resume(): void {
    this.#resting = false;
  }

  /** Does one piece of work; an abort ends the session, and with it every wait in there. */
  async within<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const onAbort = () => this.#end({ why: 'silent' });
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await work();
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** The next reply, for which the session waits so many milliseconds and ends then. */
  async replyIn(ms: number): Promise<Reply | null> {
    // An AbortSignal of its own would cost six times as much, and this is done for every message.
    const timer = setTimeout(() => this.#end({ why: 'silent' }), ms);
    try {
      return await this.reply();
    } finally {
      clearTimeout(timer);
    }
  }

  /** Writes commands, all at once (RFC 2920); each is owed one reply. */
  command(...lines: string[]): void {
    // In an address or a domain it would be a command of its own.
    if (lines.some((line) => /[\r\n]/.test(line))) throw new Error('A line break within an SMTP command');
    if (this.#owed === 0 && this.isHearing) this.#end({ why: 'out-of-step' });
    if (this.#ending) return;
    this.#owed += lines.length;
    this.#socket.write(`${lines.join('\r\n')}\r\n`);
  }

  /** The next reply; null where the session ends before one has come. */
  async reply(): Promise<Reply | null> {
    while (this.#replies.length === 0 && !this.#ending) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#replies.shift() ?? null;
  }

  /**
   * Writes a part of a message; resolves when it has left for the kernel, or the session has ended. What upstream
   * says meanwhile is heard: with the next write, a reset would overtake it.
   */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#ending) return;
    await this.orEnd(new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve())));
    await nextTurn();
  }

  /** Writes the last part of a message and its final dot, for which one reply is owed. */
  finish(bytes: Uint8Array): void {
    this.#owed++;
    this.#socket.write(bytes);
  }

  /** Waits for something else than upstream; null where the session ends before. */
  orEnd<T>(work: Promise<T>): Promise<T | null> {
    if (this.#ending) {
      work.catch(() => {});
      return Promise.resolve(null);
    }
    return new Promise((resolve, reject) => {
      this.#wake = () => {
        if (this.#ending) resolve(null);
      };
      work.then(resolve, reject);
    });
  }

  /**
   * STARTTLS (RFC 3207) and the handshake.
   *
   * @returns the reply to STARTTLS; null where the session ends before there is TLS
   */
  async startTls(options: ConnectionOptions): Promise<Reply | null> {
    const { promise: handshake, resolve: onSecured } = Promise.withResolvers<true>();
    this.command('STARTTLS');
    this.#onHeard = () => {
      if (this.#replies[0]?.code === 220) this.#upgrade(options, () => onSecured(true));
    };
    const reply = await this.reply();
    this.#onHeard = () => {};
    if (reply?.code !== 220) return reply;
    return (await this.orEnd(handshake)) && reply;
  }

  /** Waits for the end, where nothing that upstream may say now is of use. */
  async over(): Promise<void> {
    await this.orEnd(new Promise(() => {}));
  }

  /** Says QUIT, waits for the answer, two seconds at the most, and closes. */
  async quit(): Promise<void> {
    this.resume();
    this.command('QUIT');
    await this.replyIn(QUIT_MS);
    this.close();
  }

  close(): void {
    this.#end({ why: 'lost' });
  }

  /** For good: an `error` without a listener would end the process. Under TLS the plain socket has no say. */
  #listenTo(socket: Socket): Socket {
    const spoken = () => socket === this.#socket;
    socket.on('data', (chunk: Buffer) => spoken() && this.#hear(chunk));
    socket.on('end', () => spoken() && this.#lost());
    socket.on('close', () => spoken() && this.#lost());
    return socket.on(
      'error',
      (error: NodeJS.ErrnoException) => spoken() && this.#lost(error.code ?? 'unknown'),
    );
  }

  #hear(chunk: Buffer): void {
    if (this.#resting) this.#end({ why: 'out-of-step' });
    if (this.#ending) return;
    for (const reply of this.#reader.read(chunk)) {
      this.#take(reply);
      if (this.#ending) break;
    }
    this.#onHeard();
    this.#wake();
  }

  /** Within the event that brought the 220: workerd upgrades no socket that is being read again. */
  #upgrade(options: ConnectionOptions, onSecured: () => void): void {
    // Section 4.2: what came in the clear counts for nothing inside. A server has no reason to say more than 220.
    if (this.isHearing) this.#end({ why: 'out-of-step' });
    if (this.#ending) return;
    try {
      const secured = connect({ ...options, socket: this.#socket });
      this.#socket = this.#listenTo(secured.once('secureConnect', onSecured));
    } catch {
      this.#end({ why: 'lost', code: 'TLS' });
    }
  }

  #take(reply: Reply): void {
    if (this.#owed === 0) this.#end({ why: 'out-of-step', unasked: reply });
    if (this.#ending) return;
    this.#owed--;
    this.#replies.push(reply);
  }

  #lost(code?: string): void {
    if (this.#ending) return;
    const cutOff = this.#reader.end();
    if (cutOff) this.#take(cutOff);
    this.#end(code === undefined ? { why: 'lost' } : { why: 'lost', code });
  }

  #end(ending: Ending): void {
    if (this.#ending) return;
    this.#ending = ending;
    this.#socket.destroy();
    this.#wake();
    this.onEnd();
  }
}

/** What client and upstream say to each other, message by message, as in the transcript of SendCloud's SMTP page. */

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { SMTPConnection } from 'smtp-server/lib/smtp-connection';
import { formatLoginName, parseLoginName } from '../sendcloud.ts';

export interface Line {
  /** `S` is upstream, `C` its client; `TLS` and `TCP` tell of the connection. */
  readonly by: 'S' | 'C' | 'TLS' | 'TCP';
  readonly text: string;
  /** Milliseconds since the dialogue began. */
  readonly at: number;
  /** Which of the dialogue's round trips it belongs to, from 1. */
  readonly trip: number;
  /** It went through TLS. */
  readonly secure: boolean;
}

/** One transaction, with the opening of its connection where it was the first on it. */
export interface Dialogue {
  readonly id: number;
  readonly startedAt: Date;
  /** The connection was open and logged in before. */
  readonly warm: boolean;
  /** `api_user` or `api_user#label_id`; empty before the login. */
  readonly user: string;
  readonly from: string;
  readonly to: readonly string[];
  /** Waits for upstream, those of TCP and TLS among them. */
  readonly trips: number;
  /** Upstream's reply that decided it; null while it lasts, and where the connection was lost. */
  readonly reply: string | null;
  /** The number that the message has in the inbox; null where it did not get there. */
  readonly n: number | null;
  readonly lines: readonly Line[];
}

type Growing = { -readonly [Key in keyof Dialogue]: Dialogue[Key] } & { lines: Line[]; begunMs: number };

const KEPT = 200;
/** In the place of an api_key, of which nothing is kept. */
const MASKED = 'base64(••••••••)';
const VERBS: ReadonlySet<string> = new Set(
  'EHLO HELO STARTTLS MAIL RCPT DATA RSET NOOP QUIT VRFY EXPN HELP'.split(' '),
);
const MOST_LINES = 1_000;
const MOST_CHARS = 1_000;
/** A handshake of TLS 1.2 (RFC 5246 section 7.3), the newest that SendCloud speaks. */
const TLS_TRIPS = 2;

/** The last dialogues that had a MAIL. */
export class Transcripts {
  #dialogues: readonly Dialogue[] = [];
  #last = 0;

  /** Oldest first, at most 200. */
  get dialogues(): readonly Dialogue[] {
    return this.#dialogues;
  }

  find(id: number): Dialogue | null {
    return this.#dialogues.find((dialogue) => dialogue.id === id) ?? null;
  }

  /** The dialogue in which a message of the inbox came. */
  of(n: number): Dialogue | null {
    return this.#dialogues.find((dialogue) => dialogue.n === n) ?? null;
  }

  /** @returns writes down a connection from its greeting on */
  record(connection: SMTPConnection): Recorder {
    const begin = (warm: boolean): Growing => ({
      id: ++this.#last,
      startedAt: new Date(),
      begunMs: performance.now(),
      warm,
      user: '',
      from: '',
      to: [],
      trips: 0,
      reply: null,
      n: null,
      lines: [],
    });
    const keep = (dialogue: Dialogue) => {
      this.#dialogues = [...this.#dialogues, dialogue].slice(-KEPT);
    };
    return new Recorder(connection, begin, keep);
  }
}

/** Writes down one connection. */
export class Recorder {
  readonly #begin: (warm: boolean) => Growing;
  readonly #keep: (dialogue: Dialogue) => void;
  #dialogue: Growing;
  #user = '';
  #secure = false;
  /** Upstream spoke last, so what comes next took another round trip. */
  #hasSpoken = false;
  #inLogin = false;
  #isOver = false;

  constructor(
    connection: SMTPConnection,
    begin: (warm: boolean) => Growing,
    keep: (dialogue: Dialogue) => void,
  ) {
    this.#begin = begin;
    this.#keep = keep;
    this.#dialogue = begin(false);
    this.#trip('TCP', 'connected');
    // The greeting is waited for like the reply to a command.
    this.#dialogue.trips += 1;

    const send = connection.send.bind(connection);
    connection.send = (code, text, context) => {
      if (!connection._socket.destroyed) this.#said(code, text ?? '');
      send(code, text, context);
    };
    const onCommand = connection._onCommand.bind(connection);
    connection._onCommand = (command, callback) => {
      this.#asked(command.toString());
      onCommand(command, callback);
    };
    // Commands are worked off one after the other; what counts for a round trip is when they came.
    const listen = (parser: SMTPConnection['_parser']) => {
      if (!parser) return;
      const write = parser.write.bind(parser) as (...given: unknown[]) => boolean;
      parser.write = (...given: unknown[]) => {
        this.#heard();
        return write(...given);
      };
    };
    listen(connection._parser);
    // After STARTTLS there is another one.
    const { _createParser: create } = connection as unknown as { _createParser(): SMTPConnection['_parser'] };
    Object.assign(connection, {
      _createParser: () => {
        const parser = create.call(connection);
        listen(parser);
        return parser;
      },
    });
  }

  secured(socket: Socket): void {
    this.#secure = true;
    const how =
      socket instanceof TLSSocket ? `${socket.getProtocol()}, ${socket.getCipher().standardName}` : '';
    this.#trip('TLS', how, TLS_TRIPS);
    this.#hasSpoken = true;
  }

  /** The message between DATA's 354 and the reply to its dot. */
  body(bytes: number): void {
    this.#add('C', `… ${bytes.toLocaleString('en')} bytes`);
    this.#add('C', '.');
  }

  /** The message is in the inbox. */
  taken(n: number): void {
    this.#dialogue.n = n;
  }

  lost(): void {
    if (this.#dialogue.from !== '' && !this.#isOver) this.#add('TCP', 'connection lost');
    this.#isOver = true;
  }

  #heard(): void {
    if (!this.#hasSpoken) return;
    this.#hasSpoken = false;
    if (!this.#isOver) this.#dialogue.trips += 1;
  }

  #asked(command: string): void {
    const [verb = '', ...rest] = command.split(' ');
    const name = verb.toUpperCase();
    if (this.#inLogin) this.#add('C', MASKED);
    else if (name === 'AUTH') this.#login(verb, rest);
    else this.#command(name, command);
  }

  #command(name: string, command: string): void {
    if ((name === 'MAIL' && this.#dialogue.from !== '') || (name === 'RSET' && this.#isOver)) this.#next();
    // What is no command may be a key that came where none was asked for.
    this.#add('C', VERBS.has(name) ? command : MASKED);
    if (name === 'MAIL') this.#mail(command);
    if (name === 'RCPT') this.#dialogue.to = [...this.#dialogue.to, addressIn(command)];
  }

  /** The user name is no secret, and has the label in it; what else may stand there is. */
  #login(verb: string, [mechanism = '', initial]: string[]): void {
    this.#inLogin = true;
    const isName = mechanism.toUpperCase() === 'LOGIN' && initial !== undefined;
    const name = isName ? parseLoginName(Buffer.from(initial, 'base64').toString()) : null;
    if (name) {
      this.#user = formatLoginName(name);
      this.#dialogue.user = this.#user;
    }
    const shown = name ? [`base64(${this.#user})`] : initial === undefined ? [] : [MASKED];
    this.#add('C', [verb, mechanism, ...shown].join(' '));
  }

  #mail(command: string): void {
    this.#dialogue.from = addressIn(command) || '<>';
    this.#keep(this.#dialogue);
  }

  /** On a connection that is logged in. */
  #next(): void {
    const trips = this.#hasSpoken ? 0 : 1;
    this.#dialogue = { ...this.#begin(true), user: this.#user, trips };
    this.#isOver = false;
  }

  #said(code: number, text: string | string[]): void {
    const lines = Array.isArray(text) ? text : [text];
    for (const [index, line] of lines.entries()) {
      this.#add('S', `${code}${index < lines.length - 1 ? '-' : ' '}${line}`);
    }
    this.#hasSpoken = true;
    if (code !== 334) this.#inLogin = false;
    this.#judge(code, `${code} ${lines.at(-1)}`);
  }

  /** The reply to the dot ends a transaction; before it, the first refusal decides unless another recipient is taken. */
  #judge(code: number, reply: string): void {
    const dialogue = this.#dialogue;
    if (dialogue.from === '' || this.#isOver) return;
    if (dialogue.lines.some(({ by, text }) => by === 'C' && text === '.')) {
      dialogue.reply = reply;
      this.#isOver = true;
    } else if (code >= 400) {
      dialogue.reply ??= reply;
    } else if (code === 354) {
      dialogue.reply = null;
    } else if (dialogue.reply !== null && this.#lastAsked() === 'RSET') {
      this.#isOver = true;
    }
  }

  #lastAsked(): string | undefined {
    return this.#dialogue.lines.findLast(({ by }) => by === 'C')?.text.split(' ', 1)[0];
  }

  #trip(by: Line['by'], text: string, trips = 1): void {
    this.#dialogue.trips += trips;
    this.#add(by, text);
  }

  #add(by: Line['by'], text: string): void {
    const { lines, begunMs, trips } = this.#dialogue;
    if (lines.length >= MOST_LINES) return;
    lines.push({
      by,
      text: text.slice(0, MOST_CHARS),
      at: performance.now() - begunMs,
      trip: trips,
      secure: this.#secure,
    });
  }
}

const addressIn = (command: string): string => /<(.*)>/.exec(command)?.[1] ?? '';
